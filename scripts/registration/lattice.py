"""A regular lattice of nodes over a section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .fold_mask import FoldMask, fold_arguments

__all__ = ["Lattice"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Lattice:
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
    def over(cls, size: tuple[int, int], nodes: int) -> Lattice:
        """Lay about so many nodes along the longer side."""
        return cls((int(size[0]), int(size[1])), max(1.0, (max(size) - 1) / (nodes - 1)))

    def rescaled(self, factor: int, size: tuple[int, int]) -> Lattice:
        """The same lattice over the section itself, of which this one covers a copy reduced by a whole factor."""
        origin = tuple((o + 0.5) * factor - 0.5 for o in self.origin)
        return Lattice((int(size[0]), int(size[1])), self.spacing * factor, origin, self.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of nodes along x and y."""
        if self.counts is not None:
            return self.counts
        # at least one cell, even over a single pixel
        return tuple(max(2, int(np.ceil((n - 1) / self.spacing - 1e-9)) + 1) for n in self.size)

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
            the border of the lattice for points outside.
        """
        return self.seen(points, None)

    def seen(self, points: FloatArray, folds: FoldMask | None) -> tuple[NDArray[np.intp], FloatArray]:
        """The nodes around each point that no fold separates from it.

        Args:
            points: (n, 2), positions in pixels.
            folds: of the section.

        Returns:
            As `corners`, but a node behind a fold has the weight 0. All four weights are 0 where every node is.
        """
        index, weight = np.empty((len(points), 4), np.int64), np.empty((len(points), 4))
        kernels.seen(self.arguments, self.shape, *fold_arguments(folds), kernels.points_of(points), index, weight)
        return index, weight

    @property
    def arguments(self) -> tuple[float, float, float]:
        """Origin and spacing as `kernels` takes them."""
        return (*self.origin, self.spacing)

    def scatter(self, points: FloatArray, values: FloatArray, folds: FoldMask | None) -> FloatArray:
        """Give the values of points to the nodes around them.

        Args:
            points: (n, 2), positions in pixels.
            values: (n, channels).
            folds: of the section; nothing is given across them.

        Returns:
            (nodes, channels), what each node got.
        """
        index, weight = self.seen(points, folds)
        result = np.zeros((int(np.prod(self.shape)), values.shape[1]))
        np.add.at(result, index.ravel(), (weight[..., None] * values[:, None]).reshape(-1, values.shape[1]))
        return result
