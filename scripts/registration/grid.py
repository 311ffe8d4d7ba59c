"""A regular grid of nodes over a section, some of whose links are cut by folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grid", "crosses"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Nodes at whole multiples of a spacing, from the first pixel to the last or just beyond.

    Attributes:
        size: width and height of the section in pixels.
        spacing: of the nodes in pixels.
        origin: position (x, y) of the first node.
        counts: number of nodes along x and y, if not as many as the section needs.
    """

    size: tuple[int, int]
    spacing: float
    origin: tuple[float, float] = (0.0, 0.0)
    counts: tuple[int, int] | None = None

    @classmethod
    def over(cls, size: tuple[int, int], nodes: int) -> Grid:
        """Lay about so many nodes along the longer side."""
        return cls((int(size[0]), int(size[1])), max(1.0, (max(size) - 1) / (nodes - 1)))

    def enlarged(self, factor: int, size: tuple[int, int]) -> Grid:
        """The same grid over the section itself, of which this one covers a copy reduced by a whole factor."""
        origin = tuple((o + 0.5) * factor - 0.5 for o in self.origin)
        return Grid((int(size[0]), int(size[1])), self.spacing * factor, origin, self.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of nodes along x and y."""
        if self.counts is not None:
            return self.counts
        return tuple(int(np.ceil((n - 1) / self.spacing - 1e-9)) + 1 for n in self.size)

    def nodes(self) -> FloatArray:
        """Positions of the nodes, (nodes, 2), those along y together."""
        axes = [o + self.spacing * np.arange(n) for o, n in zip(self.origin, self.shape, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)

    def corners(self, points: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
        """The four nodes around each point.

        Args:
            points: (n, 2), positions in pixels; those outside belong to the nearest cell.

        Returns:
            Flat indices of the nodes and their bilinear weights, both (n, 4); the weights add up to 1, and are those at
            the border of the grid for points outside.
        """
        shape = np.array(self.shape)
        position = np.clip((points - self.origin) / self.spacing, 0, shape - 1)
        cell = np.minimum(position.astype(np.intp), shape - 2)
        fx, fy = (position - cell).T
        first = cell[:, 0] * shape[1] + cell[:, 1]
        index = first[:, None] + np.array([0, 1, shape[1], shape[1] + 1])
        return index, np.stack([(1 - fx) * (1 - fy), (1 - fx) * fy, fx * (1 - fy), fx * fy], axis=1)

    def seen(self, points: FloatArray, fold: NDArray[np.bool_] | None) -> tuple[NDArray[np.intp], FloatArray]:
        """The nodes around each point that no fold separates from it.

        Args:
            points: (n, 2), positions in pixels.
            fold: mask of the folds, see `crosses`.

        Returns:
            As `corners`, but a node behind a fold has the weight 0. All four weights are 0 where every node is.
        """
        index, weight = self.corners(points)
        if fold is None or not fold.any():
            return index, weight
        step = self.spacing
        nodes = np.stack(np.divmod(index, self.shape[1]), axis=-1) * step + self.origin
        near = _near_fold(fold, self.size, points, 2 * step)
        hidden = crosses(fold, self.size, np.repeat(points[near, None], 4, axis=1), nodes[near])
        # a node on the far side of the cell still counts a little, or a point beside the fold might see none
        weight[near] = np.where(hidden, 0, weight[near] + 1e-6)
        total = weight[near].sum(axis=1, keepdims=True)
        weight[near] = np.divide(weight[near], total, out=np.zeros_like(weight[near]), where=total > 0)
        return index, weight

    def scatter(self, points: FloatArray, values: FloatArray, fold: NDArray[np.bool_] | None) -> FloatArray:
        """Give the values of points to the nodes around them.

        Args:
            points: (n, 2), positions in pixels.
            values: (n, channels).
            fold: mask of the folds; nothing is given across them.

        Returns:
            (nodes, channels), what each node got.
        """
        index, weight = self.seen(points, fold)
        result = np.zeros((int(np.prod(self.shape)), values.shape[1]))
        np.add.at(result, index.ravel(), (weight[..., None] * values[:, None]).reshape(-1, values.shape[1]))
        return result


def crosses(fold: NDArray[np.bool_], size: tuple[int, int], start: FloatArray, stop: FloatArray) -> NDArray[np.bool_]:
    """Whether the straight way between two points touches a fold.

    Args:
        fold: bool (width, height) of the section, or smaller by a whole factor.
        size: width and height of the section in pixels.
        start: (..., 2), positions (x, y) in pixels.
        stop: (..., 2), likewise.

    Returns:
        bool (...).
    """
    factor = np.maximum(1, np.rint(np.array(size) / fold.shape))
    start, stop = (start + 0.5) / factor, (stop + 0.5) / factor
    longest = np.abs(stop - start).max(initial=0)
    touched = np.zeros(start.shape[:-1], bool)
    for share in np.linspace(0, 1, int(np.ceil(longest)) * 2 + 1):
        place = (start + share * (stop - start)).astype(np.intp)
        x, y = (np.clip(place[..., axis], 0, fold.shape[axis] - 1) for axis in (0, 1))
        touched |= fold[x, y]
    return touched


def _near_fold(
    fold: NDArray[np.bool_], size: tuple[int, int], points: FloatArray, distance: float
) -> NDArray[np.bool_]:
    """Points in or beside blocks of the section that a fold touches."""
    blocks = [max(1, int(n // distance)) for n in size]
    hit = np.zeros(blocks, bool)
    where = np.argwhere(fold)
    hit[tuple((where * blocks // fold.shape).T)] = True
    padded = np.pad(hit, 1)
    wide = np.zeros_like(hit)
    for dx in range(3):
        for dy in range(3):
            wide |= padded[dx : dx + blocks[0], dy : dy + blocks[1]]
    place = np.clip((points * blocks / size).astype(np.intp), 0, np.array(blocks) - 1)
    return wide[place[:, 0], place[:, 1]]
