"""Pixels of any type in one that OpenCV interpolates exactly, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["centred", "interpolable"]

OFFSET = 4
"""Grey levels have an offset where their median is more than so many times as large as their range."""
SAMPLE = 2**16
"""Pixels by which that is judged."""


def interpolable(image: NDArray[Any], interpolation: str) -> tuple[NDArray[Any], Callable[[NDArray], NDArray]]:
    """Bring pixels into a type that OpenCV interpolates.

    OpenCV knows 8 and 16 bit (it clips what cubic interpolation overshoots) and floating point, and its weights are of
    single precision. So what all pixels have in common is taken off before and added again: 16 bits of a section of 32
    bits may lie anywhere in their range.

    Args:
        image: (width, height), of integers, bool or floating point.
        interpolation: ``"nearest"`` copies pixels bit by bit; other kinds compute.

    Returns:
        What is to be interpolated, and the function that turns interpolated values into the type of `image`, clipped to
        its range.
    """
    kind = image.dtype
    if interpolation == "nearest":
        same_size = {1: np.uint8, 2: np.uint16, 4: np.float32, 8: np.float64}[kind.itemsize]
        return np.ascontiguousarray(image).view(same_size), lambda values: values.view(kind)
    if kind in (np.uint8, np.uint16, np.int16):
        return image, lambda values: values
    if kind.kind == "b":
        return image.astype(np.uint8), lambda values: values.astype(bool)
    values, level = centred(image)
    if kind.kind == "f":
        wide = np.float32 if kind == np.float32 else np.float64
        return values.astype(wide, copy=False), lambda tile: (tile + level if level else tile).astype(kind, copy=False)
    return values.astype(np.float64, copy=False), lambda tile: _restored(tile, level, kind)


def centred(image: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Take off what all grey levels have in common, where they lie far from 0, as after the addition of a constant.

    Args:
        image: (width, height), of integers or floating point.

    Returns:
        `image` itself and 0; or float64, differences from a whole number near all grey levels, and that number.
    """
    level = _common_level(image)
    if level == 0:
        return image, 0
    if image.dtype.kind == "f":
        return image.astype(np.float64) - level, level
    if image.dtype.itemsize < 8:
        return (image.astype(np.int64) - level).astype(np.float64), level
    # 64 bits: the difference is exact where it is small, whatever wraps around on the way
    return (image.astype(np.uint64) - np.uint64(level % 2**64)).view(np.int64).astype(np.float64), level


def _common_level(image: NDArray[Any]) -> int:
    """By the quantiles of a sample: single hot or dead pixels do not decide."""
    step = max(1, int(np.sqrt(image.size / SAMPLE)))
    sample = np.sort(image[::step, ::step].ravel())
    low, middle, high = (sample[int(share * (len(sample) - 1))].item() for share in (0.01, 0.5, 0.99))
    return int(middle) if abs(middle) > OFFSET * (high - low) else 0


def _restored(values: NDArray[np.float64], level: int, kind: np.dtype) -> NDArray[np.integer]:
    limits = np.iinfo(kind)
    low, high = limits.min - level, limits.max - level
    values = np.rint(values)
    # the largest 64-bit integers are no doubles: compared as such, set as integers
    below, above = values <= low, values >= high
    whole = np.where(below | above, 0, values)
    if kind.itemsize < 8:
        result = (whole.astype(np.int64) + level).astype(kind)
    elif level:
        result = (whole.astype(np.int64).view(np.uint64) + np.uint64(level % 2**64)).astype(kind)
    else:
        result = whole.astype(kind)
    result[below], result[above] = limits.min, limits.max
    return result
