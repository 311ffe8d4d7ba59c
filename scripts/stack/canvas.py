"""The frame of an aligned stack: how large it is, where sections lie in it, and what fills the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.registration import Transformation

__all__ = ["CANVASES", "FILLS", "fill_uncovered", "place_on_canvas"]

CANVASES = ("union", "reference")
FILLS = ("black", "noise")
COLUMNS = 256
"""Of a section that are filled at once."""


def place_on_canvas(
    transformations: Sequence[Transformation], reference_size: tuple[int, int], canvas: str
) -> tuple[list[Transformation], tuple[int, int]]:
    """Move all sections so that the frame of the stack begins at 0.

    Args:
        transformations: of the sections, into the frame of the reference.
        reference_size: width and height of the reference in pixels.
        canvas: one of `CANVASES`: ``"union"`` holds all sections whole, ``"reference"`` is as large as that.

    Returns:
        The transformations into the pixels of the aligned stack, and its width and height.
    """
    if canvas == "reference":
        return list(transformations), reference_size
    low, high = np.zeros(2), np.array(reference_size) - 1.0
    for transformation in transformations:
        boundary = transformation.boundary()
        low, high = np.minimum(low, boundary.min(axis=0)), np.maximum(high, boundary.max(axis=0))
    low = np.floor(low)
    width, height = (int(n) for n in np.ceil(high - low) + 1)
    return [transformation.translated(-low) for transformation in transformations], (width, height)


def fill_uncovered(section: NDArray[Any], valid: NDArray[np.bool_], fill: str) -> None:
    """Fill in place what no pixel of a section covers.

    Args:
        section: (width, height), an aligned section, 0 where it has no source.
        valid: bool, same shape: where it has one.
        fill: one of `FILLS`; ``"noise"`` samples the grey levels of the section, so that its histogram stays as it is.
    """
    if fill == "noise" and valid.any():
        levels = section[valid]
        rng = np.random.default_rng(0)
        # some columns at a time: the numbers of the levels take eight times as much memory as they
        for start in range(0, len(section), COLUMNS):
            part, empty = section[start : start + COLUMNS], ~valid[start : start + COLUMNS]
            part[empty] = rng.choice(levels, np.count_nonzero(empty))
