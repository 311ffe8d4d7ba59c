from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from epfl_volume import make_epfl

from bundle.data.epfl import epfl
from scripts.io import check_sections, load_sections


def listed_epfl(folder: Path) -> dict[str, list[dict]]:
    return {part: load_sections(folder / "datalist.json", part) for part in ("training", "validation", "test")}


@pytest.mark.parametrize("stack", [True, False])
def test_epfl_lists_every_eleventh_slice(tmp_path: Path, stack: bool) -> None:
    said = epfl(source=str(make_epfl(tmp_path / "source", stack)), output=str(tmp_path / "output"))
    assert "10 training, 2 validation, 3 test" in said
    items = [item for part in listed_epfl(tmp_path / "output").values() for item in part]
    assert [item["page"] if stack else int(Path(item["image"]).stem) for item in items] == list(range(0, 155, 11))


@pytest.mark.slow
@pytest.mark.parametrize("stack", [True, False])
def test_dense_epfl_keeps_its_parts_as_far_apart(tmp_path: Path, stack: bool) -> None:
    said = epfl(source=str(make_epfl(tmp_path / "source", stack, (0, 4, 8))), output=str(tmp_path), dense=True)
    assert "28 training, 4 validation, 9 test" in said
    parts = [
        [item["page"] if stack else int(Path(item["image"]).stem) for item in items]
        for items in listed_epfl(tmp_path).values()
    ]
    assert parts[0][:5] == [0, 4, 8, 11, 15]
    assert [after[0] - before[-1] for before, after in pairwise(parts)] == [11, 11]


def test_epfl_instances(tmp_path: Path) -> None:
    source = make_epfl(tmp_path / "source", stack=False)
    epfl(source=str(source), output=str(tmp_path), label_format="instances")
    item = listed_epfl(tmp_path)["test"][0]
    assert item["label_format"] == "instances"
    assert Path(item["label"]).resolve() == (source / "instances/132.png").resolve()
    check_sections([item])
    with pytest.raises(ValueError, match=r"training_groundtruth\.tif is a mask, not numbered instances"):
        epfl(source=str(make_epfl(source, stack=True)), output=str(tmp_path / "b"), label_format="instances")
    with pytest.raises(ValueError, match="label_format must be one of mask, instances, but got 'classes'"):
        epfl(source=str(source), output=str(tmp_path / "b"), label_format="classes")
    with pytest.raises(ValueError, match="dense must be True or False, but got 45"):
        epfl(source=str(source), output=str(tmp_path / "b"), dense=45)


def test_epfl_says_where_the_volume_is_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither training\.tif nor images/; .* https://www\.epfl\.ch"):
        epfl(source=str(tmp_path), output=str(tmp_path / "output"))
