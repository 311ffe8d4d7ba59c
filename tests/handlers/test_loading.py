from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ignite.engine import Engine, Events

from scripts.handlers import ImportModule


def test_a_module_is_imported_before_the_first_batch_and_not_when_the_run_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needed_later.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "needed_later", raising=False)
    seen = []
    engine = Engine(lambda engine, batch: seen.append("needed_later" in sys.modules))
    ImportModule("needed_later").attach(engine)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: seen.append("needed_later" in sys.modules))
    engine.run([0, 1])
    assert seen == [False, True, True]


def test_a_module_that_is_not_there() -> None:
    engine = Engine(lambda engine, batch: None)
    ImportModule("nothing.of_this_name").attach(engine)
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        engine.run([0])
