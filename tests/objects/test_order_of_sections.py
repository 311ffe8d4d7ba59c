"""The order of the sections is the same in all stages, whatever they are called."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.io import find_sections, result_path, write_section
from scripts.objects import MaskStack, ObjectAnalysis

NAMES = ("img", "img_1", "img_2", "img_10")


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Sections whose names sort in another way than those of their masks, by themselves."""
    for name in NAMES:
        write_section(tmp_path / "sections" / f"{name}.tif", np.arange(256, dtype=np.uint8).reshape(16, 16))
        masks(tmp_path / "masks", tmp_path / "sections" / f"{name}.tif")
    return tmp_path


def masks(folder: Path, section: Path) -> None:
    for kind, dtype in (("mitochondria", np.uint8), ("probability", np.float32)):
        write_section(result_path(section, folder, kind, np.dtype(dtype).name), np.zeros((16, 16), dtype), result=True)


def names(stack: MaskStack) -> list[str]:
    return [Path(plane.mask.path).stem.rsplit("_", 1)[0] for plane in stack.planes]


@pytest.mark.parametrize("sections", [None, "sections", "sections/*.tif"])
def test_masks_sort_as_their_sections(stack: Path, sections: str | None) -> None:
    found = MaskStack(stack / "masks", None if sections is None else str(stack / sections))
    assert names(found) == list(NAMES)
    assert [Path(s.path).stem for s in find_sections(str(stack / "masks" / "*_mitochondria.tif"))] == [
        f"{name}_mitochondria" for name in NAMES
    ]


def test_the_order_is_that_of_a_list_of_sections(stack: Path) -> None:
    order = ["img_2", "img", "img_10", "img_1"]
    (stack / "list.json").write_text(json.dumps({"test": [f"sections/{name}.tif" for name in order]}))
    found = MaskStack(stack / "masks", stack / "list.json")
    assert names(found) == order
    assert [Path(plane.section.path).stem for plane in found.planes] == order


def test_two_orders_are_refused(stack: Path) -> None:
    order = ["img_2", "img", "img_10", "img_1"]
    (stack / "masks.json").write_text(json.dumps({"test": [f"masks/{name}_mitochondria.tif" for name in order]}))
    assert names(MaskStack(stack / "masks.json")) == order
    with pytest.raises(ValueError, match=r"img_2_mitochondria\.tif: must be listed .* that of .*img\.tif; give"):
        MaskStack(stack / "masks.json", stack / "sections")


def test_two_masks_of_one_section_are_refused(stack: Path) -> None:
    write_section(stack / "masks" / "img_1_mitochondria.png", np.zeros((16, 16), np.uint8))
    for file in (stack / "masks").glob("*_probability.tif"):
        file.unlink()
    with pytest.raises(ValueError, match=r"must be of another section than .*img_1_mitochondria"):
        MaskStack(stack / "masks", stack / "sections")


def test_two_sections_of_one_name_are_refused(stack: Path) -> None:
    write_section(stack / "others" / "img_1.png", np.zeros((16, 16), np.uint8))
    with pytest.raises(ValueError, match=r"sections.img_1\.tif: must have another name than .*others.img_1\.png, as"):
        MaskStack(stack / "masks", str(stack / "[os]*" / "img*.*"))


def test_the_order_of_a_registration_is_that_of_its_folder(stack: Path) -> None:
    (stack / "sections").rename(stack / "images")
    order = ["img_2", "img", "img_10", "img_1"]
    listed = {"aligned": [f"images/{name}.tif" for name in order]}
    (stack / "sections.json").write_text(json.dumps(listed))
    for source in ("images", "images/*.tif", "sections.json"):
        assert [Path(section.path).stem for section in find_sections(str(stack / source))] == order
        assert names(MaskStack(stack / "masks", str(stack / source))) == order
    write_section(stack / "images" / "img_3.tif", np.zeros((16, 16), np.uint8))
    with pytest.raises(ValueError, match=r"img_3\.tif: must be one of the aligned sections"):
        find_sections(stack / "images")
    for other in ({"training": listed["aligned"]}, listed["aligned"], {"aligned": True}):  # of someone else
        (stack / "sections.json").write_text(json.dumps(other))
        found = [Path(section.path).stem for section in find_sections(stack / "images")]
        assert found == ["img", "img_1", "img_2", "img_3", "img_10"]


def test_an_analysis_in_another_order_is_another_one(stack: Path) -> None:
    def analysis(sections: Path) -> ObjectAnalysis:
        return ObjectAnalysis(MaskStack(stack / "masks", sections), stack / "out")

    analysis(stack / "sections").run()
    assert analysis(stack / "sections").finished()
    (stack / "list.json").write_text(json.dumps({"test": [f"sections/{name}.tif" for name in sorted(NAMES)[::-1]]}))
    assert not analysis(stack / "list.json").finished()
    with pytest.raises(FileExistsError, match="with other settings"):
        analysis(stack / "list.json").check()
