"""A page that shows nothing is as a section that is missing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from scripts.io import write_section
from scripts.objects import Gathering, MaskStack, ObjectAnalysis

BLANK = 2


def cylinder() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sections (width, height) of noise, one blank but for a hot pixel, and masks of a cylinder through them."""
    x, y = np.mgrid[:128, :100]
    rng = np.random.default_rng(0)
    sections = [rng.integers(80, 180, x.shape, np.uint8) for _ in range(5)]
    sections[BLANK][:] = 137
    sections[BLANK][5, 5] = 255
    mask = np.where(np.hypot(x - 50, y - 50) < 10, np.uint8(255), np.uint8(0))
    return sections, [np.zeros_like(mask) if z == BLANK else mask for z in range(5)]


def analysed(folder: Path, **gathering: object) -> tuple[dict, list[dict]]:
    stack = MaskStack(folder / "masks", folder / "images")
    out = folder / f"out_{len(list(folder.iterdir()))}"
    gathering = Gathering(**gathering)
    ObjectAnalysis(stack, out, gathering=gathering, pixel_size=5, section_thickness=50).run()
    with open(out / "mitochondria.csv", newline="") as file:
        return json.loads((out / "summary.json").read_text()), list(csv.DictReader(file))


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """The same stack in one file, and as files of which the blank one has no mask."""
    sections, masks = cylinder()
    write_section(tmp_path / "stack" / "images" / "a.tif", np.stack(sections, axis=-1))
    write_section(tmp_path / "stack" / "masks" / "a_mitochondria.tif", np.stack(masks, axis=-1))
    for z, (section, mask) in enumerate(zip(sections, masks, strict=True)):
        write_section(tmp_path / "files" / "images" / f"a{z}.tif", section)
        if z != BLANK:
            write_section(tmp_path / "files" / "masks" / f"a{z}_mitochondria.tif", mask)
    return tmp_path / "stack", tmp_path / "files"


@pytest.mark.parametrize("require_support", [False, True])
def test_a_blank_page_is_bridged_as_a_missing_section_is(both: tuple[Path, Path], require_support: bool) -> None:
    (stack, of_stack), (files, of_files) = (analysed(folder, require_support=require_support) for folder in both)
    assert (stack["profiles"], stack["objects"]) == (files["profiles"], files["objects"]) == (4, 1)
    assert stack["area_fraction"] == pytest.approx(files["area_fraction"])
    assert of_stack == of_files
    volume = 4 * 5 / 4 * np.count_nonzero(cylinder()[1][0]) * 0.005**2 * 0.05
    assert float(of_stack[0]["volume_um3"]) == pytest.approx(volume, rel=1e-4)


def test_a_blank_section_has_no_tissue_even_where_it_is_valid(tmp_path: Path) -> None:
    section = cylinder()[0][BLANK]
    write_section(tmp_path / "images" / "a.tif", section)
    write_section(tmp_path / "valid" / "a.png", np.full(section.shape, 255, np.uint8), result=True)
    write_section(tmp_path / "masks" / "a_mitochondria.tif", np.zeros(section.shape, np.uint8))
    stack = MaskStack(tmp_path / "masks", tmp_path / "images")
    assert stack.planes[0].section.valid is not None
    assert not stack.tissue(0, stack.section(0)).any()
