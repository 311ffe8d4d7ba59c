"""Measures of a segmentation."""

from __future__ import annotations

__all__ = ["jaccard"]


def jaccard(true: int, missed: int, false: int) -> float:
    """Jaccard index of the mitochondria (the paper's Equation 4).

    Args:
        true: pixels of mitochondria that were found.
        missed: pixels of mitochondria that were not found.
        false: pixels of background that were taken for mitochondria.

    Returns:
        From 0 to 1; NaN where there is neither a mitochondrion nor anything found.
    """
    union = true + missed + false
    return true / union if union else float("nan")
