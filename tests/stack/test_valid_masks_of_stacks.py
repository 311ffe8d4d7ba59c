"""Masks of where there is a section at all, such as an earlier registration leaves them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from stacks import align, alignment, errors, write_folder
from textures import SIZE, imaged, truth

from scripts.io import find_sections, read_section, write_section
from scripts.registration import Transformation, warp
from scripts.stack.store import RESULTS

pytestmark = pytest.mark.slow

NAMES = ("section_1", "section_2", "section_3")
VALID = np.ones(SIZE, bool)
VALID[:70] = False


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """A list of sections of which a strip shows the same tissue that does not move with the rest."""
    stuck = imaged(9)[0][:70]
    sections = {f"{name}.png": np.concatenate([stuck, imaged(i)[0][70:]]) for i, name in enumerate(NAMES, 1)}
    folder = write_folder(tmp_path / "in", sections)
    items = []
    for name in NAMES:
        write_section(folder / f"{name}_valid.png", np.where(VALID, np.uint8(255), np.uint8(0)))
        items.append({"image": f"{name}.png", "valid": f"{name}_valid.png"})
    (folder / "list.json").write_text(json.dumps({"test": items}))
    return folder / "list.json"


def test_what_is_no_section_is_neither_matched_nor_covered(masked: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    report = align(find_sections(masked), output)
    size = (report["width"], report["height"])
    for section, name in zip(report["sections"], NAMES, strict=True):
        transformation = Transformation.load(output / "transformations" / f"{name}.npz")
        expected, _ = warp(VALID.astype(np.uint8), transformation, size, "nearest")
        image, valid = (read_section(output / key / f"{name}{RESULTS[key]}") for key in ("images", "valid"))
        np.testing.assert_array_equal(valid > 0, expected > 0)
        assert not image[valid == 0].any()
        assert section["uncovered_fraction"] == pytest.approx((expected == 0).mean(), abs=1e-3)
    for index in (1, 3):
        points, places = truth(index)
        inside = (points[:, 0] > 90) & ((places >= 0) & (places < np.array(SIZE) - 1)).all(axis=1)
        assert np.median(errors(output, f"section_{index}", "section_2", points[inside], places[inside])) < 0.7


def test_a_registration_of_aligned_sections_heeds_what_they_cover(aligned_three: Path, tmp_path: Path) -> None:
    align(find_sections(aligned_three / "images"), tmp_path / "out", reference=1)
    before, after = (read_section(folder / "valid" / "section_2.png") for folder in (aligned_three, tmp_path / "out"))
    assert np.count_nonzero(after) == np.count_nonzero(before)


def test_changed_valid_masks_are_noticed(masked: Path, tmp_path: Path) -> None:
    alignment(find_sections(masked), tmp_path / "out").check()
    alignment(find_sections(masked), tmp_path / "out").check()
    os.utime(masked.parent / "section_1_valid.png", (0, 0))
    with pytest.raises(FileExistsError, match=r"what differs: valid_masks\."):
        alignment(find_sections(masked), tmp_path / "out").check()
