"""Numbers of wide label images: NumPy makes 8 bytes a pixel of them where they are counted or looked up at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_pixels", "renumber"]

CHUNK = 2**21
"""Pixels that are worked on at once."""


def count_pixels(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count the pixels of each number, as ``np.bincount`` does.

    Args:
        labels: (height, width), numbers from 0 on.

    Returns:
        int64 (highest number + 1,).
    """
    total = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    for rows in _rows(labels):
        counts = np.bincount(labels[rows].ravel())
        total[: len(counts)] += counts
    return total


def renumber(labels: NDArray[np.integer], numbers: NDArray) -> NDArray:
    """Look each number up in a table, as ``numbers[labels]`` does.

    Args:
        labels: (height, width), numbers from 0 on.
        numbers: of any type, what becomes of each.

    Returns:
        (height, width), of the type of `numbers`.
    """
    result = np.empty(labels.shape, numbers.dtype)
    for rows in _rows(labels):
        result[rows] = numbers[labels[rows]]
    return result


def _rows(labels: NDArray) -> Iterator[slice]:
    step = max(1, CHUNK // max(1, labels.shape[1]))
    return (slice(start, start + step) for start in range(0, labels.shape[0], step))
