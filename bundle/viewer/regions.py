"""Regions of sections in which a person has looked at every mitochondrion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Region", "bounding_box", "mask_of", "outline"]

ELLIPSE_CORNERS = 64
"""Of the polygon that an ellipse is kept as; within a pixel of it up to a radius of 800."""


@dataclass(frozen=True)
class Region:
    """A polygon in one section.

    Attributes:
        section: its number, from 0.
        corners: (y, x) of each, in pixels; the middle of the first pixel is (0, 0).
        held_out: whether it is kept out of teaching; None where that is not chosen yet.
    """

    section: int
    corners: tuple[tuple[float, float], ...]
    held_out: bool | None = None

    def content(self) -> dict[str, Any]:
        """Give what JSON holds of it."""
        return asdict(self)

    @classmethod
    def load(cls, content: dict[str, Any]) -> Region:
        """Make a region of what `content` gave."""
        corners = tuple((float(y), float(x)) for y, x in content["corners"])
        return cls(int(content["section"]), corners, content.get("held_out"))


def outline(corners: NDArray, shape: str) -> NDArray:
    """Give the corners of what was drawn, as a polygon.

    Args:
        corners: (corners, coordinates); of an ellipse, as napari has it, those of the rectangle around it.
        shape: napari's name of its kind.

    Returns:
        (corners, coordinates).

    Raises:
        ValueError: it encloses nothing.
    """
    if shape in ("polygon", "rectangle"):
        return corners
    if shape != "ellipse":
        raise ValueError(f"a region must be a rectangle, an ellipse or a polygon, but got a {shape}: remove it")
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)[:, None]
    across, down = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    return corners.mean(axis=0) + np.cos(angles) * across + np.sin(angles) * down


def mask_of(regions: Sequence[Region], shape: tuple[int, int], section: int) -> NDArray[np.bool_]:
    """Draw the regions of a section.

    Args:
        regions: of any sections.
        shape: height and width.
        section: number of the section.

    Returns:
        (height, width), true inside of any of them and on their edges, whose corners are rounded to pixels.
    """
    mask = np.zeros(shape, np.uint8)
    for region in regions:
        if region.section == section:
            corners = np.rint(region.corners).astype(np.int32)
            cv2.fillPoly(mask, [corners[:, ::-1]], 1)
    return mask.astype(bool)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Give the top, left, bottom and right of what is true, the last two exclusive."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
