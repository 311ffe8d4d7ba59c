"""The picture of the whole way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.analysis.overview import draw_overview
from scripts.io import find_sections, write_section

ORANGE = (230, 159, 0)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Two sections, a bright square in each, which the alignment brings over each other."""
    for folder, shift in (("imaged", 40), ("aligned", 0)):
        for number in range(2):
            pixels = np.full((300, 200), 60, np.uint8)
            pixels[100:160, 60 + number * shift : 120 + number * shift] = 200
            (tmp_path / folder).mkdir(exist_ok=True)
            write_section(tmp_path / folder / f"s{number}.png", pixels)
    return tmp_path


def share(picture: Path, colour: tuple[int, int, int], left: float, right: float) -> float:
    """Part of a strip of the picture that has about a colour."""
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    width = pixels.shape[1]
    strip = pixels[:, int(left * width) : int(right * width)]
    return float((abs(strip - colour).max(axis=-1) < 60).mean())


def test_what_lies_on_each_other_is_grey_after_the_alignment(stack: Path) -> None:
    imaged, aligned = (find_sections(stack / folder) for folder in ("imaged", "aligned"))
    mask = np.zeros((200, 300), bool)
    mask[60:120, 100:160] = True
    picture = stack / "overview.png"
    draw_overview(imaged, aligned, mask, 7 * mask.astype(np.uint16), 1, picture, pixel_size=5)
    for colour in ((0, 255, 0), (255, 0, 255)):
        assert share(picture, colour, 0, 0.25) > 0.02
        assert share(picture, colour, 0.25, 0.5) == 0
    assert share(picture, ORANGE, 0.5, 0.75) > 0
    with Image.open(picture) as shown:
        wide = shown.width
    draw_overview(imaged, imaged, mask, None, 1, picture)  # not aligned, not numbered: one part
    with Image.open(picture) as shown:
        assert shown.width == pytest.approx(wide / 4, abs=1)


def test_the_place_with_most_mitochondria_is_shown(tmp_path: Path) -> None:
    write_section(tmp_path / "s.png", np.random.default_rng(0).integers(0, 255, (2000, 1500), np.uint8))
    mask = np.zeros((1500, 2000), bool)
    mask[1400:1500, 1900:2000] = True
    sections = find_sections(tmp_path / "s.png")
    draw_overview(sections, sections, mask, mask.astype(np.uint8), 0, tmp_path / "overview.png")
    assert share(tmp_path / "overview.png", ORANGE, 0, 0.5) > 0
