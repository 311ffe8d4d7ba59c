"""Pictures of results on sections that are chosen by rule, not by taste."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from monai.transforms import Compose
from PIL import Image, ImageDraw, ImageFont

from scripts.figures import hide_outside, overlay, save_picture
from scripts.io import load_sections
from scripts.transforms import BinarizeLabeld, CropRegiond, EqualizeSectiond, LeaveOutUnknownd, LoadSectiond

__all__ = ["draw_examples"]

PANEL_SIZE, GAP = 512, 8  # pixels of the longer side of a part, and between parts
HEADING = 32  # height of letters in pixels, at most


def draw_examples(
    datalist: Path, evaluations: Sequence[Path], path: Path, part: str = "test", titles: Sequence[str] = ()
) -> None:
    """Draw the test sections with the median (above) and the lowest Jaccard index, as Figure 3 of the paper does.

    From left to right: the section, the truth, and the result of each evaluation, with true pixels in green, missed
    ones in blue and false ones in vermilion. Where no section has a Jaccard index, as none has a mitochondrion, true or
    found, there is no picture.

    Args:
        datalist: list of sections.
        evaluations: output folders of evaluations of that part; the last one ranks the sections, by its result with
            the CRF if it has one, and says how they are equalised.
        path: picture to write.
        part: of the list that was evaluated.
        titles: of the evaluations, to be written above the columns; none are without.

    Raises:
        OSError: a file cannot be read or written.
    """
    items = load_sections(datalist, part)
    with open(evaluations[-1] / "jaccard.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    column = "with_crf_jaccard" if "with_crf_jaccard" in rows[0] else "without_crf_jaccard"
    scores = [(float(row[column]), int(row["number"])) for row in rows]
    ranked = sorted(pair for pair in scores if not np.isnan(pair[0]))
    if not ranked:
        return
    note = json.loads((evaluations[-1] / "jaccard.json").read_text())
    equalized = EqualizeSectiond("image", note["equalize"], note["equalize_clip"])
    rows = []
    for _, number in (ranked[len(ranked) // 2], ranked[0]):
        grey, truth = _section(items[number], equalized)
        nothing = np.zeros_like(truth)
        panels = [overlay(grey, nothing, nothing), overlay(grey, truth, truth)]
        for folder in evaluations:
            (picture,) = (folder / "overlays").glob(f"{number:04d}_*")
            panels.append(np.asarray(Image.open(picture)).swapaxes(0, 1))
        rows.append(_joined([_panel(panel) for panel in panels], axis=0))
    width = max(row.shape[0] for row in rows)
    rows = [np.pad(row, ((0, width - row.shape[0]), (0, 0), (0, 0)), constant_values=255) for row in rows]
    if titles:
        rows.insert(0, _headings(["section", "truth", *titles], width))
    save_picture(_joined(rows, axis=1), path)


def _section(item: dict, equalized: EqualizeSectiond) -> tuple[np.ndarray, np.ndarray]:
    """Give the grey levels in [0, 1], as the network saw them, and the truth of an item's region, where it is known."""
    both = ["image", "label"]
    known = [BinarizeLabeld("label"), LeaveOutUnknownd("label")]
    region = Compose([LoadSectiond(both), equalized, *known, CropRegiond([*both, "tissue"])])(item)
    image, label, tissue = (region[key][0].numpy() for key in (*both, "tissue"))
    return hide_outside(image, tissue > 0), label > 0


def _panel(picture: np.ndarray) -> np.ndarray:
    panel = Image.fromarray(picture)
    panel.thumbnail((PANEL_SIZE, PANEL_SIZE))
    return np.asarray(panel)


def _headings(titles: Sequence[str], width: int) -> np.ndarray:
    """Titles above columns of equal width, (width, height, 3), as large as the narrowest column allows."""
    column = (width + GAP) / len(titles)
    size = min(HEADING, int(1.7 * (column - GAP) / max(map(len, titles))))  # letters are some 0.55 as wide as high
    strip = Image.new("RGB", (width, 2 * size), "white")
    draw = ImageDraw.Draw(strip)
    for number, title in enumerate(titles):
        middle = (number + 0.5) * column - GAP / 2
        draw.text((middle, size), title, "black", ImageFont.load_default(size), anchor="mm")
    return np.asarray(strip).swapaxes(0, 1)


def _joined(pictures: list[np.ndarray], axis: int) -> np.ndarray:
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=axis)
