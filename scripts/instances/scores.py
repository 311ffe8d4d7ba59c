"""How well objects are found: the objects of a result against true ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from .linking import overlaps

__all__ = ["ObjectScores"]

THRESHOLDS = (0.5, 0.75)
AVERAGED = tuple(np.arange(0.5, 1.0, 0.05).round(2))
"""Thresholds over which average precision is averaged, as COCO does."""


class ObjectScores:
    """Score objects, section by section: numbers that go on through the stack score it in 3D.

    What is kept is how many pixels each two objects share, so a stack of any length is scored in bounded memory;
    `monai.metrics.compute_panoptic_quality` keeps a mask of each object, and holds no table that sections could be
    added to. Two objects match if their intersection over union is above a threshold; at 0.5 and more no object can
    match two (Kirillov et al. 2019), so no assignment is needed.

    A true object is *split* if two or more objects of the result each lie by more than half in it and cover a tenth of
    it or more; an object of the result is *merged* if it covers more than half of two or more true ones, the false
    bridge that is hardest to mend.
    """

    def __init__(self) -> None:
        self._shared: dict[tuple[int, int], int] = {}
        self._true: dict[int, int] = {}
        self._found: dict[int, int] = {}

    def add(self, true: NDArray[np.integer], found: NDArray[np.integer], separate: bool = False) -> None:
        """Count one section.

        Args:
            true: numbers of the true objects, 0 is background.
            found: numbers of the objects of the result, of the same shape.
            separate: whether the section is scored by itself, as in 2D, where its numbers mean nothing elsewhere.

        Raises:
            ValueError: the shapes differ, or a number is negative.
        """
        if true.shape != found.shape:
            raise ValueError(f"true and found objects must be of one size, but got {true.shape} and {found.shape}")
        shift_true = max(self._true, default=0) if separate else 0
        shift_found = max(self._found, default=0) if separate else 0
        for counts, labels, shift in ((self._true, true, shift_true), (self._found, found, shift_found)):
            numbers, pixels = np.unique(labels, return_counts=True)
            if numbers.size and numbers[0] < 0:
                raise ValueError(f"numbers of objects must be 0 or above, but got {numbers[0]}")
            for number, count in zip(numbers.tolist(), pixels.tolist(), strict=True):
                if number:
                    counts[number + shift] = counts.get(number + shift, 0) + count
        shared = overlaps(true, found)
        for a, b, count in zip(shared.first.tolist(), shared.second.tolist(), shared.pixels.tolist(), strict=True):
            key = (a + shift_true, b + shift_found)
            self._shared[key] = self._shared.get(key, 0) + count

    def merge(self, other: ObjectScores) -> None:
        """Take in what was counted elsewhere, such as sections of another process, whose numbers mean nothing here.

        Args:
            other: it is left as it is.
        """
        shift_true, shift_found = max(self._true, default=0), max(self._found, default=0)
        self._true |= {number + shift_true: count for number, count in other._true.items()}
        self._found |= {number + shift_found: count for number, count in other._found.items()}
        self._shared |= {(a + shift_true, b + shift_found): count for (a, b), count in other._shared.items()}

    def compute(self, thresholds: Sequence[float] = THRESHOLDS) -> dict[str, float | int]:
        """Compute the scores of all that was counted.

        Args:
            thresholds: intersections over union, in (0, 1].

        Returns:
            ``true`` and ``found`` objects; for each threshold, such as 0.5, ``f1@0.5``, ``precision@0.5`` and
            ``recall@0.5``; ``ap``, the mean over 0.5, 0.55 .. 0.95 of matched / (matched + missed + false), which is
            what StarDist and Cellpose report; ``panoptic_quality`` at 0.5 with its factors ``segmentation_quality``
            and ``recognition_quality``; ``split`` and ``merged`` (see the class). NaN where there are no objects.
        """
        true, found = len(self._true), len(self._found)
        iou = self._ious()
        result: dict[str, float | int] = {"true": true, "found": found}
        for threshold in thresholds:
            matched = int(_matches(iou, threshold).sum())
            result[f"f1@{threshold:g}"] = _ratio(2 * matched, true + found)
            result[f"precision@{threshold:g}"] = _ratio(matched, found)
            result[f"recall@{threshold:g}"] = _ratio(matched, true)
        matched = [int(_matches(iou, threshold).sum()) for threshold in AVERAGED]
        result["ap"] = float(np.mean([_ratio(count, true + found - count) for count in matched]))
        values = iou[:, 2][_matches(iou, 0.5)]
        result["segmentation_quality"] = _ratio(values.sum(), len(values))
        result["recognition_quality"] = _ratio(2 * len(values), true + found)
        result["panoptic_quality"] = _ratio(2 * values.sum(), true + found)
        result["split"], result["merged"] = self._faults()
        return result

    def _ious(self) -> NDArray[np.float64]:
        """(pairs, 3): place of the true object and of that of the result, intersection over union."""
        # places, since a float tells no numbers apart that are large
        true, found = ({number: place for place, number in enumerate(counts)} for counts in (self._true, self._found))
        shared = self._shared.items()
        rows = [(true[a], found[b], n / (self._true[a] + self._found[b] - n)) for (a, b), n in shared]
        return np.array(rows, np.float64).reshape(-1, 3)

    def _faults(self) -> tuple[int, int]:
        parts: dict[int, int] = {}
        whole: dict[int, int] = {}
        for (a, b), pixels in self._shared.items():
            if 2 * pixels > self._found[b] and 10 * pixels >= self._true[a]:
                parts[a] = parts.get(a, 0) + 1
            if 2 * pixels > self._true[a]:
                whole[b] = whole.get(b, 0) + 1
        return sum(n > 1 for n in parts.values()), sum(n > 1 for n in whole.values())


def _matches(iou: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be within (0, 1], but got {threshold!r}")
    above = iou[:, 2] > threshold  # exactly half of an object could match two
    if threshold >= 0.5 or not above.any():
        return above
    rows, cols = (np.unique(iou[:, axis], return_inverse=True)[1] for axis in (0, 1))
    matrix = np.zeros((rows.max() + 1, cols.max() + 1))
    matrix[rows[above], cols[above]] = 1 + iou[above, 2] / len(iou)  # the most matches, then the largest overlap
    best = np.zeros(matrix.shape, bool)
    best[linear_sum_assignment(matrix, maximize=True)] = True
    return above & best[rows, cols]


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
