"""The meaning of label pixels."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_erosion

__all__ = ["IGNORE_INDEX", "LABEL_FORMATS", "binarize_label"]

LABEL_FORMATS = ("mask", "instances")
"""What a list of sections may declare its labels to be; the first is the default."""

IGNORE_INDEX = 255
"""Class of pixels whose label is not known: neither background nor mitochondrion."""

MOST_BETWEEN = 0.25
"""Share of labelled pixels that may belong to anti-aliased borders, in the public sets it is below 0.002."""


def binarize_label(
    label: np.ndarray, name: str = "label", label_format: str = "mask", ignore_value: int | None = None
) -> np.ndarray:
    """Tell mitochondrion from background in a label as annotation tools write it.

    Args:
        label: array of any shape. As a "mask" it holds 0/1, 0/255 or 0/65535, or real numbers from 0 to 1, and soft
            borders are cut at half; as "instances" it holds 0 and the numbers of the mitochondria.
        name: what an error calls the label, usually its file.
        label_format: one of `LABEL_FORMATS`.
        ignore_value: of pixels whose label is not known, or None where all are.

    Returns:
        uint8 array of the same shape: 1 in mitochondria, `IGNORE_INDEX` where it is not known, 0 elsewhere.

    Raises:
        ValueError: any other values, such as several classes, pixels to be ignored, or numbered instances that are not
            declared as such.
    """
    if ignore_value is not None:
        unknown = label == ignore_value
        known = binarize_label(np.where(unknown, np.zeros(1, label.dtype), label), name, label_format)
        known[unknown] = IGNORE_INDEX
        return known
    # Python numbers: 255 + 1 has no place in uint8
    lowest, highest = label.min().item(), label.max().item()
    if label_format == "instances":
        if lowest < 0 or (label.dtype.kind == "f" and (label != np.floor(label)).any()):
            raise ValueError(
                f"{name}: label values run from {lowest} to {highest}; instances are whole numbers, 0 is background"
            )
        return (label > 0).astype(np.uint8)
    # a blurred mask need not reach 1; one that does not reach half has another scale
    blurred = label.dtype.kind == "f" and 0.5 < highest < 1
    if lowest < 0 or not (blurred or highest in (0, 1, 255, 65535)):
        raise ValueError(f"{name}: label values run from {lowest} to {highest}; {_expected(255)}")
    if highest > 1:
        between = (label > 0) & (label < highest)
        values = np.unique(label[between])
        if values.size and values[-1] == values.size < highest // 2 and _has_area(between):
            raise ValueError(
                f"{name}: holds {_listed(values)} beside {highest:.0f}: where 1 is a class, {highest:.0f} marks pixels "
                f'to ignore (nnU-Net): declare them by "ignore_value": {highest:.0f}; {_expected(highest)}'
            )
        share = np.count_nonzero(between) / np.count_nonzero(label)
        if share > MOST_BETWEEN:
            raise ValueError(
                f"{name}: {share:.0%} of its labelled pixels lie between 1 and {highest - 1:.0f}; {_expected(highest)}"
            )
    return (label >= (0.5 if highest <= 1 else (highest + 1) // 2)).astype(np.uint8)


def _has_area(pixels: np.ndarray) -> bool:
    """Tell an object from the single pixels of a soft border."""
    return bool(binary_erosion(pixels, np.ones([min(3, length) for length in pixels.shape]), border_value=1).any())


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:.0f}" for value in values[:3]) + (" and others" if len(values) > 3 else "")


def _expected(highest: float) -> str:
    return (
        f"expected 0/1 or 0/{highest:.0f}, not several classes; numbered instances are declared in the list of "
        'sections by "label_format": "instances"'
    )
