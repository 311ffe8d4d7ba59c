from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import caching

KERNEL = """
from scripts.compilation import compiled


@compiled("void(f8[:])")
def double(x):
    for i in range(len(x)):
        x[i] *= 2
"""


@pytest.mark.parametrize("fault", ["", "no folder", "disk full"])
def test_runs_where_compiled_code_cannot_be_kept(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder that takes no cache, or takes none when it comes to writing."""
    (tmp_path / "kernel.py").write_text(KERNEL)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    if fault == "no folder":
        (tmp_path / "__pycache__").write_text("a file where the folder should be")
        for name in ("HOME", "XDG_CACHE_HOME"):
            monkeypatch.setenv(name, os.devnull)
    elif fault == "disk full":

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    spec = importlib.util.spec_from_file_location("kernel", tmp_path / "kernel.py")
    kernel = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kernel)
    numbers = np.arange(9.0)
    kernel.double(numbers)
    np.testing.assert_array_equal(numbers, 2 * np.arange(9))
    assert (kernel.double.stats.cache_path is None) == bool(fault)
