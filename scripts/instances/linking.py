"""Objects through the stack: profiles of neighbouring sections are linked by their overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .numbers import count_pixels, renumber

__all__ = ["Linker", "Overlaps", "join", "overlaps"]


@dataclass(frozen=True)
class Overlaps:
    """Profiles of two label images that lie over each other.

    Attributes:
        first: int64 (pairs,), number in the first image; of its own type where their product would not fit.
        second: int64 (pairs,), number in the second image, likewise.
        pixels: int64 (pairs,), pixels that they share, at least 1.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    pixels: NDArray[np.int64]


def overlaps(first: NDArray[np.integer], second: NDArray[np.integer]) -> Overlaps:
    """Count the pixels that two label images share, for each pair of numbers above 0.

    Args:
        first: labels of any shape.
        second: labels of the same shape.

    Returns:
        The pairs, sorted by `first`, then by `second`.

    Raises:
        ValueError: the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"label images must be of one size, but got {first.shape} and {second.shape}")
    both = (first > 0) & (second > 0)
    a, b = first[both], second[both]
    width = int(b.max(initial=0)) + 1
    if int(a.max(initial=0)) * width + width > np.iinfo(np.int64).max:  # numbers without gaps, so that pairs have one
        (names, a), (others, b) = (np.unique(numbers, return_inverse=True) for numbers in (a, b))
        dense = _pairs(a, b, len(others))
        return Overlaps(names[dense.first], others[dense.second], dense.pixels)
    return _pairs(a.astype(np.int64), b.astype(np.int64), width)


def _pairs(first: NDArray[np.int64], second: NDArray[np.int64], width: int) -> Overlaps:
    """Count pairs of numbers, the second of them below `width`."""
    keys, pixels = np.unique(first * width + second, return_counts=True)
    return Overlaps(keys // width, keys % width, pixels.astype(np.int64))


class Linker:
    """Link the profiles of a stack, section after section, with two sections in memory.

    Between two neighbours a profile is assigned to at most one other, so that the sum of all intersections over unions
    is the largest (Kuhn 1955): which profile continues which is decided for all at once, and a profile does not lose
    its own to a neighbour that merely came first. An assignment counts if it reaches `min_iou`, or if the smaller of
    the two lies by `min_share` on the larger: mitochondria taper. Then branches: a profile that was assigned to nothing
    joins the one under which it lies by `branch_share` of its area. A profile without a continuation waits for
    `max_gap` sections, so that a missing or damaged section does not cut what runs through it.

    Args:
        min_iou: intersection over union from which on an assigned pair is linked, in (0, 1].
        min_share: intersection over the area of the smaller, from which on an assigned pair is linked, in (0, 1].
        branch_share: intersection over its own area from which on a profile that is assigned to nothing joins another,
            in (0, 1]; more than 1 allows no branches.
        max_gap: sections in between that a link may leap over.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self, min_iou: float = 0.25, min_share: float = 0.6, branch_share: float = 0.75, max_gap: int = 1
    ) -> None:
        for name, value in (("min_iou", min_iou), ("min_share", min_share), ("branch_share", branch_share)):
            if not value > 0:
                raise ValueError(f"{name} must be above 0, but got {value!r}")
        if type(max_gap) is not int or max_gap < 0:
            raise ValueError(f"max_gap must be a whole number from 0 on, but got {max_gap!r}")
        self.min_iou = min_iou
        self.min_share = min_share
        self.branch_share = branch_share
        self.max_gap = max_gap
        self.count = 0
        self._position = -1
        self._labels: NDArray[np.integer] | None = None
        self._offset = 0
        self._waiting: list[_Waiting] = []

    def add(self, labels: NDArray[np.integer], position: int | None = None) -> tuple[Overlaps, NDArray[np.int64]]:
        """Link the next section.

        Args:
            labels: (height, width), profiles numbered from 1 without gaps, of the size of the section before.
            position: place of the section in the complete stack; None is the next one. Where places are left out,
                sections are missing.

        Returns:
            Overlaps with the section before, and links, int64 (links, 2). Both name profiles through the whole stack:
            identity = profiles of all sections before + number within the section, from 1.

        Raises:
            ValueError: the size differs from that of the section before, or the position does not lie after it.
        """
        position = self._position + 1 if position is None else position
        if position <= self._position:
            raise ValueError(f"position must be above {self._position}, but got {position}")
        offset, areas = self.count, count_pixels(labels)
        shared, links = Overlaps(*np.zeros((3, 0), np.int64)), np.zeros((0, 2), np.int64)
        if self._labels is not None:
            shared = overlaps(self._labels, labels)
            if position - self._position - 1 <= self.max_gap:
                links = self._assign(shared, count_pixels(self._labels), areas)
            shared = Overlaps(shared.first + self._offset, shared.second + offset, shared.pixels)
            self._keep_waiting(links[:, 0])
            links = links + np.array([self._offset, offset])
            links = np.vstack([links, self._leap(labels, areas, position, links[:, 1] - offset)])
        self._labels, self._offset, self._position = labels, offset, position
        self.count += len(areas) - 1
        return shared, links

    def _assign(self, shared: Overlaps, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
        """Links between two sections, by numbers within them; `first` and `second` are areas by number."""
        a, b, pixels = shared.first, shared.second, shared.pixels
        iou = pixels / (first[a] + second[b] - pixels)
        share = pixels / np.minimum(first[a], second[b])
        chosen = _best_assignment(a, b, iou) & ((iou >= self.min_iou) | (share >= self.min_share))
        linked = chosen.copy()
        for own, areas in ((a, first), (b, second)):
            linked |= ~np.isin(own, own[chosen]) & (pixels >= self.branch_share * areas[own])
        return np.stack([a[linked], b[linked]], axis=1)

    def _keep_waiting(self, linked: NDArray[np.int64]) -> None:
        """Remember the profiles of the section before that nothing continues."""
        if self.max_gap == 0:
            return
        ended = np.ones(int(self._labels.max()) + 1, bool)
        ended[0] = False
        ended[linked] = False
        places = np.flatnonzero(renumber(self._labels, ended))
        identities = self._labels.ravel()[places].astype(np.int64) + self._offset
        self._waiting.append(_Waiting(self._position, places, identities))

    def _leap(
        self, labels: NDArray[np.integer], areas: NDArray[np.int64], position: int, linked: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Links of profiles that begin here to those that ended some sections before, the nearest section first."""
        self._waiting = [ended for ended in self._waiting if position - ended.position - 1 <= self.max_gap]
        free = np.ones(len(areas), bool)
        free[0] = False
        free[linked] = False
        found = [np.zeros((0, 2), np.int64)]
        for ended in reversed(self._waiting):
            if ended.position == self._position or not ended.places.size:
                continue
            here = labels.ravel()[ended.places].astype(np.int64)
            names, first = np.unique(ended.identities, return_inverse=True)
            shared = overlaps(first + 1, here * free[here])
            links = self._assign(shared, np.bincount(first + 1), areas)
            free[links[:, 1]] = False
            ended.drop(names[links[:, 0] - 1])
            found.append(np.stack([names[links[:, 0] - 1], links[:, 1] + self.count], axis=1))
        return np.concatenate(found)


@dataclass
class _Waiting:
    """Profiles of a section that nothing continues yet: pixels by place in the flat section, with identities."""

    position: int
    places: NDArray[np.int64]
    identities: NDArray[np.int64]

    def drop(self, identities: NDArray[np.int64]) -> None:
        stay = ~np.isin(self.identities, identities)
        self.places, self.identities = self.places[stay], self.identities[stay]


def join(count: int, links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Settle the numbers of objects from the links between profiles.

    Args:
        count: profiles in the stack.
        links: int64 (links, 2), identities from 1 on.

    Returns:
        int64 (count + 1,): number of the object of each profile, from 1 in the order of their first profiles; the
        first entry is 0, for the background.
    """
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count + 1, count + 1))
    groups = connected_components(graph, directed=False)[1]
    # in the order of first appearance; the background is linked to nothing, and first
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _best_assignment(first: NDArray[np.int64], second: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray:
    """Choose pairs, each number at most once, of the largest sum of weights; bool (pairs,).

    Profiles that no chain of overlaps connects do not compete, so each group is solved by itself: groups are small,
    where a matrix of all profiles of a large section would not fit into memory.
    """
    chosen = np.zeros(len(first), bool)
    if not len(first):
        return chosen
    rows, cols = (np.unique(numbers, return_inverse=True)[1] for numbers in (first, second))
    size = rows.max() + cols.max() + 2
    graph = coo_array((np.ones(len(rows), bool), (rows, cols + rows.max() + 1)), shape=(size, size))
    groups = connected_components(graph, directed=False)[1][rows]
    order = np.argsort(groups, kind="stable")
    for pairs in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(pairs) == 1:
            chosen[pairs] = True
            continue
        r, c = (np.unique(numbers[pairs], return_inverse=True)[1] for numbers in (rows, cols))
        matrix = np.zeros((r.max() + 1, c.max() + 1))
        matrix[r, c] = weight[pairs]
        best = np.zeros(matrix.shape, bool)
        best[linear_sum_assignment(matrix, maximize=True)] = True
        chosen[pairs] = best[r, c]
    return chosen
