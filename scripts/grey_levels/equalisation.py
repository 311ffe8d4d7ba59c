"""Bringing the grey levels of a section to [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import row_slices
from .ranges import CLIP, quantile_range, scaled, tissue_range

__all__ = ["METHODS", "TransferFunction", "check_clip", "equalize", "stretch"]

METHODS = ("tissue", "section", "none")
"""Ways to bring a section to [0, 1], see `scripts.transforms.EqualizeSectiond`."""

CODES = 2**16
"""Grey levels that are told apart."""


@dataclass(frozen=True)
class TransferFunction:
    """What becomes of the grey levels of a section, the same in each part of it.

    Attributes:
        limits: grey levels that become 0 and 1; None for integers of up to 16 bit whose levels are counted singly.
        table: float32, what becomes of each of `CODES` levels between the limits; None leaves them as they are.
    """

    limits: tuple[float, float] | None
    table: NDArray[np.float32] | None

    @classmethod
    def equalizing(cls, image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> TransferFunction:
        """Find that of `equalize`, whose arguments these are."""
        mask = _checked(image, mask, clip)
        limits = _limits(image, mask, clip)
        histogram = np.zeros(CODES, np.int64)
        for rows, codes in _codes(image, limits):
            histogram += np.bincount((codes if mask is None else codes[mask[rows]]).ravel(), minlength=CODES)
        below = histogram.cumsum()
        first, last = below[np.searchsorted(below, [clip[0] * below[-1] or 1, clip[1] * below[-1]])]
        if first == last:  # one grey level fills nearly all: what there is beside it has to do
            first, last = histogram[histogram > 0][0], below[-1]
        table = np.full(CODES, 0.5) if first == last else np.clip((below - first) / (last - first), 0, 1)
        return cls(limits, table.astype(np.float32))

    @classmethod
    def stretching(cls, image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> TransferFunction:
        """Find that of `stretch`, whose arguments these are."""
        return cls(quantile_range(image, _checked(image, mask, clip), clip), None)

    def __call__(self, image: NDArray) -> NDArray[np.float32]:
        """Apply it.

        Args:
            image: (width, height), the section or a part of it.

        Returns:
            float32, same shape, in [0, 1].
        """
        result = np.empty(image.shape, np.float32)
        if self.table is not None:
            for rows, codes in _codes(image, self.limits):
                np.take(self.table, codes, out=result[rows], mode="clip")  # all are in the table; "raise" would copy
        elif self.limits[1] > self.limits[0]:
            for rows in row_slices(image.shape):
                result[rows] = scaled(image[rows], *self.limits)
        else:
            result[:] = 0.5
        return result


def equalize(
    image: NDArray, mask: NDArray[np.bool_] | None = None, clip: tuple[float, float] = CLIP
) -> NDArray[np.float32]:
    """Equalise the histogram of a section: each grey level becomes the share of tissue that is not brighter.

    Unlike MONAI's ``HistogramNormalize`` (even with its mask), whose equal bins span minimum to maximum, so that a hot
    pixel leaves two of them to the tissue and a large offset makes it raise, what few pixels have decides on nothing
    here: integers of up to 16 bit are counted level by level, other types in fine steps between quantiles. Exact, and
    the same on every machine.

    Args:
        image: (width, height), integers or floating point of any range, finite.
        mask: bool, same shape: the tissue, whose histogram counts; None or an empty one counts all pixels.
        clip: quantiles of the tissue that become 0 and 1, with all that is darker and brighter.

    Returns:
        float32, same shape, in [0, 1]; 0.5 throughout a constant section.

    Raises:
        ValueError: the shapes differ, or `clip` are no two increasing numbers from 0 to 1.
    """
    return TransferFunction.equalizing(image, mask, clip)(image)


def stretch(
    image: NDArray, mask: NDArray[np.bool_] | None = None, clip: tuple[float, float] = CLIP
) -> NDArray[np.float32]:
    """Stretch the grey levels of a section to [0, 1], linearly.

    Args:
        image: (width, height), integers or floating point of any range, finite.
        mask: as for `equalize`.
        clip: as for `equalize`.

    Returns:
        float32, same shape, in [0, 1]; 0.5 throughout a constant section.

    Raises:
        ValueError: as for `equalize`.
    """
    return TransferFunction.stretching(image, mask, clip)(image)


def check_clip(clip: tuple[float, float]) -> None:
    """Refuse what `equalize` and `stretch` cannot clip at.

    Args:
        clip: two quantiles.

    Raises:
        ValueError: they are no two increasing numbers from 0 to 1.
    """
    if len(clip) != 2 or not 0 <= clip[0] < clip[1] <= 1:
        raise ValueError(f"clip must be two increasing quantiles from 0 to 1, but got {clip!r}")


def _checked(image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> NDArray[np.bool_] | None:
    if mask is not None and mask.shape != image.shape:
        raise ValueError(f"the mask has the shape {mask.shape}, the section {image.shape}")
    check_clip(clip)
    return mask if mask is not None and mask.any() else None


def _limits(image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> tuple[float, float] | None:
    """Range that is counted in `CODES` steps; None for integers of up to 16 bit, whose levels are counted singly."""
    return None if image.dtype.kind in "iub" and image.dtype.itemsize <= 2 else tissue_range(image, mask, clip)


def _codes(image: NDArray, limits: tuple[float, float] | None) -> Iterator[tuple[slice, NDArray[np.integer]]]:
    """Number the grey levels from 0 to `CODES` - 1, some rows at a time."""
    offset = 2 ** (8 * image.dtype.itemsize - 1) if image.dtype.kind == "i" else 0
    for rows in row_slices(image.shape):
        if limits is None and image.dtype.kind == "u":
            yield rows, image[rows]
        elif limits is None:
            yield rows, image[rows].astype(np.int32) + np.int32(offset)
        elif limits[1] > limits[0]:
            yield rows, (scaled(image[rows], *limits) * (CODES - 1)).round().astype(np.int32)
        else:
            yield rows, np.zeros(image[rows].shape, np.int32)
