from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.__main__ import main
from bundle.data.combine import combine
from bundle.data.epfl import epfl
from bundle.data.sbem import sbem
from bundle.data.small import small
from bundle.data.vnc import vnc
from scripts.io import load_sections

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real data sets in ../shared/data")
def test_real_sets(tmp_path: Path) -> None:
    """Every set at hand is the one that its command knows, and joins the others."""
    vnc(output=str(tmp_path / "drosophila_vnc"), source=str(DATA / "drosophila_vnc"))
    sbem(output=str(tmp_path / "sbem_brain"), source=str(DATA / "sbem_brain"))
    epfl(output=str(tmp_path / "epfl"), source=str(DATA / "epfl_hippocampus"), dense=True, label_format="instances")
    small(output=str(tmp_path), source=str(DATA / "small"))
    lists = [str(path) for path in sorted(tmp_path.glob("*/datalist.json"))]
    assert len(lists) == 8
    combine(*lists, output=str(tmp_path / "joint"), weights=[1] * 8)
    parts = {part: load_sections(tmp_path / "joint/datalist.json", part) for part in ("training", "validation", "test")}
    assert {part: len(items) for part, items in parts.items()} == {"training": 84, "validation": 27, "test": 34}
    for name in (path.parent.name for path in map(Path, lists)):
        folder = (DATA / "epfl_hippocampus" if name == "epfl" else tmp_path / name).resolve()
        weight = sum(
            item["weight"] for item in parts["training"] if Path(item["image"]).resolve().is_relative_to(folder)
        )
        assert weight == pytest.approx(84 / 8, rel=1e-4)


@pytest.mark.parametrize("command", [vnc, sbem, epfl])
@pytest.mark.parametrize("arguments", [{"output": True}, {"output": ""}, {"output": "x", "source": 5}])
def test_paths_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable, arguments: dict) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="must be the path of a folder, but got"):
        command(**{"source": ".", **arguments})


def test_the_command_line_ends_an_error_as_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.argv", ["bundle", "data", "vnc", f"--output={tmp_path / 'out'}", f"--source={tmp_path / 'nowhere'}"]
    )
    with pytest.raises(SystemExit, match=r"error: .*nowhere.stack1.raw.00\.tif is missing"):
        main()
