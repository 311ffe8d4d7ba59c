"""A regular grid of nodes over a section, and the folds that separate some of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FoldMask", "Grid"]

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

    def seen(self, points: FloatArray, folds: FoldMask | None) -> tuple[NDArray[np.intp], FloatArray]:
        """The nodes around each point that no fold separates from it.

        Args:
            points: (n, 2), positions in pixels.
            folds: of the section.

        Returns:
            As `corners`, but a node behind a fold has the weight 0. All four weights are 0 where every node is.
        """
        index, weight = self.corners(points)
        if folds is None:
            return index, weight
        near = np.flatnonzero(folds.distance(points) < 2 * self.spacing)
        nodes = np.stack(np.divmod(index[near], self.shape[1]), axis=-1) * self.spacing + self.origin
        hidden = folds.between(np.repeat(points[near, None], 4, axis=1), nodes)
        # a node on the far side of the cell still counts a little, or a point beside the fold might see none
        seen = np.where(hidden, 0, weight[near] + 1e-6)
        total = seen.sum(axis=1, keepdims=True)
        weight[near] = np.divide(seen, total, out=np.zeros_like(seen), where=total > 0)
        return index, weight

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


class FoldMask:
    """Where folds hide the tissue of a section.

    Args:
        mask: bool (width, height) of the section, or smaller by a whole factor, true under a fold.
        size: width and height of the section in pixels.
    """

    def __init__(self, mask: NDArray[np.bool_], size: tuple[int, int]) -> None:
        self.mask = mask
        self._factor = np.maximum(1, np.rint(np.array(size) / mask.shape))

    def covers(self, points: FloatArray) -> NDArray[np.bool_]:
        """Whether points lie under a fold.

        Args:
            points: (..., 2), positions (x, y) in pixels of the section.

        Returns:
            bool (...).
        """
        return self._at(self.mask, (points + 0.5) / self._factor)

    def distance(self, points: FloatArray) -> FloatArray:
        """Distance in pixels of points (..., 2) to the nearest fold, to about a pixel of the mask; 0 under a fold."""
        return self._at(self._distance, (points + 0.5) / self._factor) * self._factor.min()

    def between(self, start: FloatArray, stop: FloatArray) -> NDArray[np.bool_]:
        """Whether the straight way between two points touches a fold.

        Args:
            start: (..., 2), positions (x, y) in pixels of the section.
            stop: (..., 2), likewise.

        Returns:
            bool (...).
        """
        touched = self.covers(start) | self.covers(stop)
        start, stop = (start + 0.5) / self._factor, (stop + 0.5) / self._factor
        length = np.linalg.norm(stop - start, axis=-1)
        way = np.argwhere(~touched & (length > 0))
        place, length = start[tuple(way.T)], length[tuple(way.T)]
        direction = (stop[tuple(way.T)] - place) / length[:, None]
        gone = np.zeros(len(way))
        # as far at once as the nearest fold is away
        while len(way):
            free = self._at(self._distance, place + gone[:, None] * direction)
            touched[tuple(way[free == 0].T)] = True
            gone += np.maximum(free - 1, 0.5)
            on = (free > 0) & (gone < length)
            way, place, direction, length, gone = way[on], place[on], direction[on], length[on], gone[on]
        return touched

    @cached_property
    def _distance(self) -> NDArray[np.float32]:
        return cv2.distanceTransform((~self.mask).astype(np.uint8), cv2.DIST_L2, 5)

    @staticmethod
    def _at(image: NDArray, places: FloatArray) -> NDArray:
        x, y = (np.clip(places[..., axis].astype(np.intp), 0, image.shape[axis] - 1) for axis in (0, 1))
        return image[x, y]
