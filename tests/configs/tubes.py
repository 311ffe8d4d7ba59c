"""Masks of tubes through a stack, and what an analysis says of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scripts.config import first_cause
from scripts.io import write_section

FILES = {"profiles.csv", "mitochondria.csv", "columns.md", "summary.json", "rois.zip", "report.html"}
NM = {"pixel_size": 5, "section_thickness": 50}


def tubes(sections: int = 4, size: tuple[int, int] = (120, 90)) -> list[np.ndarray]:
    """Masks (width, height): a tube of 20 pixels across through sections 1 to the last but one, and one through all."""
    x, y = np.mgrid[: size[0], : size[1]]
    inner, through = np.hypot(x - 30, y - 40) <= 10, np.hypot(x - 85, y - 40) <= 10
    return [(through | inner if 0 < i < sections - 1 else through) for i in range(sections)]


def write(folder: Path, masks: list[np.ndarray], scale: int = 255) -> None:
    for index, mask in enumerate(masks):
        write_section(folder / f"s{index}_mitochondria.png", (scale * mask).astype(np.uint8))


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cause(run: Callable, **settings: object) -> BaseException:
    with pytest.raises(RuntimeError) as caught:
        run(**settings)
    return first_cause(caught.value)
