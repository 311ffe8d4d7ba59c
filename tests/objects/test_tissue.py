"""What is counted refers to the tissue of the sections."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from scripts.grey_levels import SectionLevels
from scripts.io import write_section
from scripts.objects import MaskStack, ObjectAnalysis

SIDE, MARGIN = 240, 96
NM = 5.0


def disks() -> np.ndarray:
    """Mask (width, height): three disks in tissue, the last of them cut by the margin."""
    x, y = np.mgrid[:SIDE, :SIDE]
    return np.logical_or.reduce([np.hypot(x - cx, y - cy) < 12 for cx, cy in ((150, 60), (200, 150), (96, 200))])


def section(seed: int, margin: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 60, (SIDE, SIDE))
    grey = np.clip(gaussian_filter(noise, 2) * 8 + 128, 1, 255).astype(np.uint8)
    grey[:margin] = 0
    return grey


def analysed(folder: Path, margin: int, sections: bool = True) -> tuple[list[dict], dict]:
    for index in range(3):
        grey = section(index, margin)
        write_section(folder / "sections" / f"s{index}.tif", grey)
        tissue = SectionLevels.measure(grey, pixel_size=NM).tissue
        mask = disks() if tissue is None else disks() & tissue  # as the segmentation leaves it
        write_section(folder / "masks" / f"s{index}_mitochondria.tif", np.where(mask, np.uint8(255), np.uint8(0)))
    stack = MaskStack(folder / "masks", folder / "sections" if sections else None)
    ObjectAnalysis(stack, folder / "out", pixel_size=NM, section_thickness=50).run()
    with open(folder / "out" / "profiles.csv", newline="") as file:
        return list(csv.DictReader(file)), json.loads((folder / "out" / "summary.json").read_text())


def test_a_margin_is_no_tissue(tmp_path: Path) -> None:
    rows, found = analysed(tmp_path, MARGIN)
    tissue = np.stack([SectionLevels.measure(section(z, MARGIN), pixel_size=NM).tissue for z in range(3)])
    assert tissue[:, MARGIN + 4 :].mean() > 0.99
    assert not tissue[:, :MARGIN].any()
    assert found["area_fraction"] == pytest.approx((disks() & tissue).sum() / tissue.sum())
    inner = np.count_nonzero(tissue[:, 1:, 1:]) * (NM / 1000) ** 2
    assert found["profile_density_per_um2"] == pytest.approx(found["counted_profiles"] / inner)
    assert [row["touches_border"] for row in rows if float(row["centroid_x_um"]) < 0.55] == ["1"] * 3
    assert [row["touches_border"] for row in rows if float(row["centroid_x_um"]) > 0.55] == ["0"] * 6


def test_without_a_margin_all_is_tissue(tmp_path: Path) -> None:
    _, found = analysed(tmp_path / "with", 0)
    assert found["area_fraction"] == pytest.approx(disks().mean())
    _, plain = analysed(tmp_path / "without", 0, sections=False)
    same = [key for key in found if key.startswith(("area", "profile", "object", "counted", "volume"))]
    assert len(same) > 5
    assert {key: found[key] for key in same} == {key: plain[key] for key in same}


def test_a_valid_mask_comes_first_and_a_constant_section_has_no_tissue(tmp_path: Path) -> None:
    write_section(tmp_path / "images" / "s0.tif", section(0, MARGIN))
    write_section(tmp_path / "images" / "s1.tif", np.full((SIDE, SIDE), 7, np.uint8))
    valid = np.full((SIDE, SIDE), 255, np.uint8)
    valid[:, :20] = 0
    write_section(tmp_path / "valid" / "s0.png", valid, result=True)
    for index in range(2):
        write_section(tmp_path / "masks" / f"s{index}_mitochondria.tif", np.zeros((SIDE, SIDE), np.uint8))
    stack = MaskStack(tmp_path / "masks", tmp_path / "images")
    assert stack.measures_tissue
    np.testing.assert_array_equal(stack.tissue(0, stack.section(0)), valid.T > 0)
    assert not stack.tissue(1, stack.section(1)).any()
    assert MaskStack(tmp_path / "masks").tissue(0, None) is None


def test_an_analysis_that_counted_margins_is_not_taken_for_done(tmp_path: Path) -> None:
    analysed(tmp_path, MARGIN)
    path = tmp_path / "out" / "summary.json"
    earlier = json.loads(path.read_text())
    assert earlier["settings"].pop("tissue") == "by grey levels"
    path.write_text(json.dumps(earlier))
    with pytest.raises(FileExistsError, match="with other settings"):
        ObjectAnalysis(
            MaskStack(tmp_path / "masks", tmp_path / "sections"), tmp_path / "out", pixel_size=NM, section_thickness=50
        ).check()
