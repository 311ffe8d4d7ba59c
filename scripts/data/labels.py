"""The meaning of label pixels."""

from __future__ import annotations

import numpy as np

__all__ = ["binarize_label"]

MOST_BETWEEN = 0.25
"""Share of labelled pixels that may belong to anti-aliased borders, in the public sets it is below 0.002."""


def binarize_label(label: np.ndarray, name: str = "label") -> np.ndarray:
    """Tell mitochondrion from background in a mask as annotation tools write it.

    Args:
        label: array of any shape with values 0/1, or 0/255 or 0/65535, where an anti-aliased border is cut at half.
        name: what an error calls the label, usually its file.

    Returns:
        uint8 array of the same shape: 1 in mitochondria, 0 elsewhere.

    Raises:
        ValueError: any other values, such as numbered instances or several classes.
    """
    # Python numbers: 255 + 1 has no place in uint8
    lowest, highest = label.min().item(), label.max().item()
    if lowest < 0 or highest not in (0, 1, 255, 65535):
        raise ValueError(f"{name}: label values run from {lowest} to {highest}; expected 0/1 or 0/255")
    if highest > 1:
        between = np.count_nonzero((label > 0) & (label < highest)) / np.count_nonzero(label)
        if between > MOST_BETWEEN:
            raise ValueError(
                f"{name}: {between:.0%} of its labelled pixels lie between 1 and {int(highest) - 1}; expected 0/1 or "
                f"0/{highest:.0f}, not numbered instances or several classes"
            )
    return (label >= max(1, (highest + 1) // 2)).astype(np.uint8)
