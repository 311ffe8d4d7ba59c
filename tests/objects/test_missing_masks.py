"""Sections without a mask are missing ones, and keep their place."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from scripts.io import write_section
from scripts.objects import MaskStack, ObjectAnalysis

COUNT = 8


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A cylinder through sections 3 to 6, all of which have masks, and noise around it."""
    x, y = np.mgrid[:60, :50]
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        write_section(tmp_path / "sections" / f"s{index}.tif", rng.integers(1, 255, (60, 50), np.uint8))
        mask = (np.hypot(x - 30, y - 25) <= 10) & (3 <= index <= 6)
        write_section(tmp_path / "masks" / f"s{index}_mitochondria.tif", np.where(mask, np.uint8(255), np.uint8(0)))
    return tmp_path


def lose(stack: Path, *places: int) -> None:
    for place in places:
        (stack / "masks" / f"s{place}_mitochondria.tif").unlink()


def summary(stack: Path, missing: Sequence[int] = (), sections: bool = True) -> dict:
    masks = MaskStack(stack / "masks", stack / "sections" if sections else None, missing_sections=missing)
    out = stack / f"out_{len(list(stack.iterdir()))}"
    ObjectAnalysis(masks, out, pixel_size=5, section_thickness=50).run()
    return json.loads((out / "summary.json").read_text())


def test_a_section_without_a_mask_is_a_missing_one(stack: Path) -> None:
    lose(stack, 4)
    found = summary(stack)
    assert found["settings"]["positions"] == [0, 1, 2, 3, 5, 6, 7]
    assert found["missing_sections"] == [4]
    assert "Sections are missing: 4." in found["warnings"]
    volume = 59 * 49 * 0.005**2 * (COUNT - 1) * 0.05
    assert found["object_density_per_um3"] == pytest.approx(1 / volume)
    named = summary(stack, [4], sections=False)
    assert named["object_density_per_um3"] == found["object_density_per_um3"]


def test_missing_sections_may_be_named_and_may_lack_as_sections_too(stack: Path) -> None:
    lose(stack, 4)
    assert summary(stack, [4])["settings"]["positions"] == [0, 1, 2, 3, 5, 6, 7]
    # section 2 is there, and one between it and the next is not
    assert summary(stack, [3])["settings"]["positions"] == [0, 1, 2, 4, 6, 7, 8]
    (stack / "sections" / "s4.tif").unlink()
    assert summary(stack, [4])["settings"]["positions"] == [0, 1, 2, 3, 5, 6, 7]


def test_masks_of_the_ends_are_named_too(stack: Path) -> None:
    lose(stack, 0, 7)
    found = summary(stack)
    assert (found["settings"]["positions"], found["missing_sections"]) == ([1, 2, 3, 4, 5, 6], [0, 7])


def test_a_part_of_a_stack_is_analysed_and_every_third_section_refused(stack: Path) -> None:
    lose(stack, *range(4, 8))
    assert len(MaskStack(stack / "masks", stack / "sections")) == 4
    lose(stack, 1, 2)
    write_section(stack / "masks" / "s6_mitochondria.tif", np.zeros((60, 50), np.uint8))
    message = r"most of its sections must have masks, but got 3 of 7, and none of .*s1\.tif"
    with pytest.raises(ValueError, match=message):
        MaskStack(stack / "masks", stack / "sections")


def test_copies_of_sections_in_another_format_are_not_missing(stack: Path) -> None:
    for index in range(COUNT):
        write_section(stack / "sections" / f"s{index}.png", np.zeros((60, 50), np.uint8))
    assert MaskStack(stack / "masks", stack / "sections").positions.tolist() == list(range(COUNT))


@pytest.mark.parametrize("lost", [[4], [4, 5]])
def test_pages_without_tissue_are_as_missing_sections(tmp_path: Path, lost: list[int]) -> None:
    """Constant sections of a stack have a mask, since its result needs all of them: an empty one."""
    x, y = np.mgrid[:60, :50]
    rng = np.random.default_rng(0)
    disk = np.hypot(x - 30, y - 25) <= 10
    sections = [np.full((60, 50), 9) if z in lost else rng.integers(1, 255, (60, 50)) for z in range(COUNT)]
    masks = [255 * (disk & (2 <= z <= 6) & (z not in lost)) for z in range(COUNT)]
    write_section(tmp_path / "stack" / "a.tif", np.stack(sections, axis=-1).astype(np.uint8))
    write_section(tmp_path / "pages" / "a_mitochondria.tif", np.stack(masks, axis=-1).astype(np.uint8))
    for index, (section, mask) in enumerate(zip(sections, masks, strict=True)):
        write_section(tmp_path / "sections" / f"a{index}.tif", section.astype(np.uint8))
        if index not in lost:
            write_section(tmp_path / "masks" / f"a{index}_mitochondria.tif", mask.astype(np.uint8))
    found = []
    for dataset, source in (("pages", "stack"), ("masks", "sections")):
        out = tmp_path / f"out_{dataset}"
        stack = MaskStack(tmp_path / dataset, tmp_path / source)
        ObjectAnalysis(stack, out, pixel_size=5, section_thickness=50).run()
        summary = json.loads((out / "summary.json").read_text())
        figures = [summary[key] for key in ("object_density_per_um3", "area_fraction", "objects", "whole_objects")]
        with open(out / "mitochondria.csv", newline="") as file:
            columns = ("volume_um3", "length_um", "cut_by_ends", "first_section", "last_section")
            found.append((figures, [[row[name] for name in columns] for row in csv.DictReader(file)]))
    assert found[0] == found[1]
    assert [row[2] for row in found[0][1]] == (["0"] if len(lost) == 1 else ["1", "1"])
