"""Sections that show nothing, although some of their pixels differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["blank_level"]

SHARE = 0.98
"""Part of the pixels that have the one grey level of a blank section, at least."""

BLOCK = 16
"""Pixels a side of the blocks of which 2x2 are a window: smaller than any tissue in which something could be found."""

TISSUE = 0.4
"""Part of the pixels of a window that tissue makes brighter, or darker, than the level. Lines of up to 12 pixels are
less; what is as wide as tissue, such as bold writing, is taken for it."""

SAMPLE = 2**20
"""Pixels from which the level is estimated."""


def blank_level(image: NDArray) -> np.generic | None:
    """Tell whether a section is blank: of one grey level but for single pixels, noise of one step, or thin lines.

    A step is one of integers, or the last digit of floating point. Tissue may fill but a corner of a large empty
    section. What differs there is no noise: in some window many more pixels are brighter, or darker, than in all of the
    section.

    Args:
        image: (width, height), integers or floating point of any range, finite.

    Returns:
        The one grey level of a blank section, None where there could be tissue. Where a section is smaller than a
        window it is blank only if it is constant.
    """
    stride = max(1, int(np.sqrt(image.size / SAMPLE)))
    sample = image[::stride, ::stride].ravel()
    level = np.partition(sample, sample.size // 2)[sample.size // 2]
    middle, step, alike = level.item(), 1, 0
    if image.dtype.kind == "f":
        middle = np.float64(level)  # a step above the largest number of single precision is none of its numbers
        step = alike = np.finfo(image.dtype).eps * abs(middle)
    if np.mean((sample >= middle - step) & (sample <= middle + step)) < SHARE:
        return None
    if min(image.shape) < 2 * BLOCK:
        return level if image.min() == image.max() else None
    for differs in (image > middle + alike, image < middle - alike):
        if np.abs(_window_shares(differs) - differs.mean()).max() > TISSUE:
            return None
    return level


def _window_shares(differs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of each window of 2x2 blocks; a rest at the end of an axis is left out."""
    columns, rows = (length // BLOCK for length in differs.shape)
    blocks = differs[: columns * BLOCK, : rows * BLOCK].reshape(columns, BLOCK, rows, BLOCK).mean(axis=(1, 3))
    pairs = blocks[1:] + blocks[:-1]
    return (pairs[:, 1:] + pairs[:, :-1]) / 4
