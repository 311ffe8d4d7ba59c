"""Continuity through the stack: what neighbouring sections say of a pixel, and of a profile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .numbers import count_pixels

__all__ = ["agreement", "smooth_through", "supported"]


def agreement(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Dice coefficient of two neighbouring masks: low where sections are not registered, or one is damaged.

    Args:
        first: bool, any shape.
        second: bool, of the same shape.

    Returns:
        From 0 to 1; 1 where both are empty.
    """
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0


def smooth_through(
    probability: NDArray[np.float32],
    neighbours: Sequence[NDArray[np.float32] | None],
    threshold: float,
    weight: float = 0.25,
    min_agreement: float = 0.4,
) -> NDArray[np.float32]:
    """Average probabilities with those of the neighbouring sections.

    Averaged is how far a probability lies from the threshold, as a share of how far it can: otherwise a threshold of
    more than 1 - 2 `weight` would let nothing pass that no neighbour shows, however sure its section is.

    Args:
        probability: float32 (height, width), from 0 to 1.
        neighbours: of the sections before and after; None where there is none.
        threshold: from which on a pixel is a mitochondrion, before and after; within (0, 1).
        weight: of each neighbour; the section itself has what is left.
        min_agreement: Dice coefficient of the masks below which a neighbour is left out, since it does not lie over
            the section or is damaged.

    Returns:
        float32 (height, width).

    Raises:
        ValueError: `weight` is not within [0, 0.5), or `threshold` not within (0, 1).
    """
    if not 0 <= weight < 0.5:
        raise ValueError(f"weight must be within [0, 0.5), but got {weight!r}")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be within (0, 1), but got {threshold!r}")
    below, above = np.float32(threshold), np.float32(1 - threshold)

    def relative(scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """From -1 to 1, with 0 at the threshold."""
        distance = scores - below
        distance /= np.where(distance < 0, below, above)
        return distance

    mask, own = probability >= threshold, relative(probability)
    result = own.copy()
    for neighbour in neighbours:
        if neighbour is not None and agreement(mask, neighbour >= threshold) >= min_agreement:
            result += np.float32(weight) * (relative(neighbour) - own)
    result *= np.where(result < 0, below, above)
    result += below
    return result


def supported(
    labels: NDArray[np.integer], neighbours: Sequence[NDArray[np.bool_] | None], share: float = 0.1
) -> NDArray[np.bool_]:
    """Tell the profiles that a neighbouring section continues.

    Args:
        labels: int (height, width), profiles numbered from 1.
        neighbours: masks of the sections before and after; None where there is none.
        share: of its area that has to lie over mitochondria of one neighbour.

    Returns:
        bool (highest number + 1,); all are supported where there is no neighbour at all.
    """
    areas = count_pixels(labels)
    present = [mask for mask in neighbours if mask is not None]
    if not present:
        return np.ones(len(areas), bool)
    covered = [np.bincount(labels[mask], minlength=len(areas)) for mask in present]
    return np.maximum.reduce(covered) >= np.maximum(1, share * areas)
