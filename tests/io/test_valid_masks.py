"""Masks of where there is a section at all: those that a list names, and those that a registration left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.io import check_sections, find_sections, load_sections, write_section
from scripts.io.volume import Volume
from scripts.objects import MaskStack


@pytest.fixture
def valid(section: np.ndarray) -> np.ndarray:
    mask = np.full(section.shape, 255, np.uint8)
    mask[:9] = 0
    return mask


def listing(folder: Path, *items: dict) -> Path:
    (folder / "list.json").write_text(json.dumps({"test": items}))
    return folder / "list.json"


def test_a_list_names_it(labelled: Path, valid: np.ndarray) -> None:
    write_section(labelled / "valid.tif", valid)
    item = {"image": "image.png", "label": "label.png", "valid": "valid.tif"}
    (trained,) = load_sections(listing(labelled, item), "test")
    path = listing(labelled, {"image": "image.png"}, item, {"image": "label.png"})
    named, other = find_sections(path)
    assert named.valid == trained.valid == str(labelled / "valid.tif")
    assert other.valid is None
    assert MaskStack(labelled / "label.png", path).planes[0].section.valid is None
    write_section(labelled / "image_mitochondria.png", valid)
    stack = MaskStack(labelled / "image_mitochondria.png", path)
    np.testing.assert_array_equal(stack.tissue(0, stack.section(0)), valid.T > 0)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"valid": 5}], r"list\.json: image\.png: valid must be the path of a mask, but got 5"),
        ([{"valid": "a.png"}, {"valid": "b.png"}], r"names two valid masks of image\.png, .*a\.png and .*b\.png"),
        ([{"valid": "small.png"}], r"image\.png is 20x30 .* its valid mask .*small\.png is 19x30"),
        ([{"valid": "none.png"}], r"none\.png: no such file"),
    ],
)
def test_what_a_list_may_not_name(labelled: Path, valid: np.ndarray, items: list[dict], message: str) -> None:
    write_section(labelled / "small.png", valid[1:])
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_sections(listing(labelled, *({"image": "image.png", **item} for item in items)))


def test_a_folder_for_validation_holds_no_masks(tmp_path: Path, section: np.ndarray) -> None:
    for folder in ("images", "valid"):
        write_section(tmp_path / folder / "a.png", section)
    (found,) = find_sections(tmp_path / "images")
    assert found.valid is None
    check_sections([found])
    write_section(tmp_path / "valid" / "a.png", section[1:])
    assert find_sections(tmp_path / "images")[0].valid is None


@pytest.mark.parametrize("result", [False, True])
def test_a_mask_that_is_found_is_one_of_a_registration(tmp_path: Path, valid: np.ndarray, result: bool) -> None:
    write_section(tmp_path / "images" / "a.tif", valid)
    write_section(tmp_path / "valid" / "a.png", valid, result=result)
    assert find_sections(tmp_path / "images")[0].valid == (str(tmp_path / "valid" / "a.png") if result else None)
    for name, options in (("images", {}), ("valid", {"result": result})):
        Volume.create(tmp_path / f"{name}.zarr", (1, 30, 20), "uint8", average=False, **options).complete()
    assert find_sections(tmp_path / "images.zarr")[0].valid == (str(tmp_path / "valid.zarr") if result else None)


def test_a_registration_that_a_person_corrected_keeps_its_masks(
    section: np.ndarray, valid: np.ndarray, tmp_path: Path
) -> None:
    write_section(tmp_path / "images" / "a.tif", section)
    write_section(tmp_path / "valid" / "a.png", valid)  # as another program saves it, without the mark of a result
    assert find_sections(tmp_path / "images")[0].valid is None
    (tmp_path / "chain").mkdir()
    (tmp_path / "chain" / "settings.json").write_text("{}")
    assert find_sections(tmp_path / "images")[0].valid == str(tmp_path / "valid" / "a.png")


def test_masks_of_a_linked_list_lie_beside_the_link_as_images_do(
    labelled: Path, valid: np.ndarray, tmp_path: Path
) -> None:
    write_section(labelled / "valid.tif", valid)
    (tmp_path / "lists").mkdir()
    listing(tmp_path / "lists", {"image": "image.png", "valid": "valid.tif"}).rename(tmp_path / "lists" / "a.json")
    (labelled / "linked.json").symlink_to(tmp_path / "lists" / "a.json")
    assert find_sections(labelled / "linked.json")[0].valid == str(labelled / "valid.tif")
