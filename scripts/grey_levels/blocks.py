"""Views of a section by rows and by blocks, which bound the memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "CHUNK", "all_of_blocks", "block_view", "row_slices"]

CHUNK = 2**21
"""Pixels that are worked on at once: bounds the memory."""

BLOCK = 4
"""Pixels a side of the blocks whose mean and variance tell tissue from what is none."""


def row_slices(shape: tuple[int, ...], step: int = 1) -> Iterator[slice]:
    """Slices of the first axis, each a multiple of `step` but the last, of `CHUNK` pixels."""
    size = max(1, CHUNK // (shape[1] * step)) * step
    for start in range(0, shape[0], size):
        yield slice(start, min(start + size, shape[0]))


def block_view(image: NDArray, block: int = BLOCK) -> NDArray:
    """Whole blocks as (columns, block, rows, block); a rest at the end of an axis is left out."""
    columns, rows = (length // block for length in image.shape)
    return image[: columns * block, : rows * block].reshape(columns, block, rows, block)


def all_of_blocks(mask: NDArray[np.bool_], block: int = BLOCK) -> NDArray[np.bool_]:
    """Tell of each whole block whether all of it is true: (columns, rows)."""
    columns, rows = (length // block for length in mask.shape)
    # one axis at a time, which takes a third of the time of both
    lines = mask[: columns * block, : rows * block].reshape(columns, block, rows * block).all(axis=1)
    return lines.reshape(columns, rows, block).all(axis=2)
