"""Blank sections, and what only resembles them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scripts.blank import blank_level
from scripts.grey_levels import SectionLevels
from scripts.phantom import PhantomTissue, acquire

SHAPE = (320, 256)
TYPES = {"uint8": 128, "int8": -128, "uint16": 30_000, "int32": -2_000_000_000, "float32": 0.1, "float64": -9999}


def blank(dtype: str, share: float, step: float | None = None) -> tuple[NDArray, np.generic]:
    """A section of one level, with a share of pixels that differ by a step or by anything, and the level."""
    random = np.random.default_rng(0)
    image = np.full(SHAPE, TYPES[dtype], dtype)
    differs = random.random(SHAPE) < share
    differs[0, 0] = True
    image[differs] += np.array(random.integers(2, 100, differs.sum()) if step is None else step).astype(dtype)
    return image, np.array(TYPES[dtype], dtype)[()]


@pytest.fixture(scope="module")
def tissue() -> NDArray[np.uint8]:
    section, _ = PhantomTissue(3, (384, 320), 1).section(0)
    return acquire(section, np.random.default_rng(0))


def assert_blank(image: NDArray, level: object) -> None:
    assert blank_level(image) == level
    levels, inside = SectionLevels.measure(image).whole(image)
    assert not inside.any()
    assert (levels == 0.5).all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("share", [0, 1e-4, 0.01])
def test_single_pixels_are_no_tissue(dtype: str, share: float) -> None:
    assert_blank(*blank(dtype, share))


@pytest.mark.parametrize("share", [0, 1e-4, 0.01, 0.3, 0.48])
def test_noise_of_one_step_is_no_tissue(share: float) -> None:
    for dtype, level in TYPES.items():
        assert_blank(*blank(dtype, share, np.spacing(np.dtype(dtype).type(level)) if "float" in dtype else 1))
    for value in (0, 255):
        image = np.full(SHAPE, value, np.uint8)
        image[np.random.default_rng(0).random(SHAPE) < share] = abs(value - 1)
        assert_blank(image, value)


@pytest.mark.parametrize("level", [-3.4028235e38, -9999, 0, 1e30])
def test_a_blank_section_of_any_number(level: float) -> None:
    image = np.full(SHAPE, level, np.float32)
    image[3, 4] = 1
    assert_blank(image, np.float32(level))


@pytest.mark.parametrize(("level", "ink"), [(0, 255), (128, 255), (128, 0), (255, 0)])
def test_lines_and_dirt_are_no_tissue(level: int, ink: int) -> None:
    image = np.full((512, 512), level, np.uint8)
    image[:, 255:258] = image[350:490, 480:484] = image[99:107, 99:107] = ink
    assert_blank(image, level)


@pytest.mark.parametrize(("columns", "rows"), [(100, 100), (150, 60), (40, 160)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_little_tissue_in_a_large_empty_section_is_found(
    tissue: NDArray, level: int, columns: int, rows: int
) -> None:
    for left, top in ((0, 0), (377, 501)):
        image = np.full((800, 750), level, np.uint8)
        image[left : left + columns, top : top + rows] = tissue[:columns, :rows]
        assert (image == level).mean() > 0.98
        for section in (image, image.astype(np.uint16) + 40_000, image / np.float32(255)):
            assert blank_level(section) is None
            inside = SectionLevels.measure(section).whole(section)[1]
            assert inside[left + 12 : left + columns - 12, top + 12 : top + rows - 12].any()


def test_a_picture_of_two_levels_is_not_blank() -> None:
    """Although all of it is one level, give or take a step."""
    x, y = np.indices(SHAPE)
    for picture in ((x - 100) ** 2 + (y - 90) ** 2 < 60**2, x > 160, (x // 40 + y // 40) % 2 > 0):
        for dtype in (bool, np.uint8, np.int64, np.float32):
            assert blank_level(picture.astype(dtype)) is None
            assert blank_level((~picture).astype(dtype)) is None


def test_small_sections_are_blank_only_if_they_are_constant() -> None:
    for shape in ((1, 1), (3, 4000), (31, 31)):
        image = np.full(shape, 7, np.uint16)
        assert blank_level(image) == 7
        image[0, 0] = 9
        assert image.size == 1 or blank_level(image) is None
