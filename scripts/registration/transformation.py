"""Where the pixels of a section belong in the aligned stack, and back."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import combinations
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from . import kernels
from .fold_mask import FoldMask, fold_arguments
from .lattice import Lattice

__all__ = ["Transformation", "affine_between"]

FloatArray = NDArray[np.float64]

CANDIDATES = 6
"""Nodes tried for the way back: near a fold the nearest ones may lie on its other side."""
TOLERANCE = 0.05
"""Pixels within which the way back has to arrive."""
STEPS = 8
"""Most steps of Newton's method on that way."""
MOST_TURNED = np.pi / 9
"""Radians by which sections may be turned against each other, to have a map in common."""
REACH = 4
"""Spacings of the lattice within which a node is a candidate; that far the map is followed beyond the section."""


class Transformation:
    """A deformation that may jump at folds, given by the affine map at each node of a lattice.

    Between nodes the maps of those that no fold separates from a point are blended. Under a fold there is no map.

    Args:
        lattice: over the section.
        values: float64 (nodes along x, nodes along y, 2), position (x, y) of each node in the aligned stack.
        linear: float64 (nodes along x, nodes along y, 2, 2), derivative of the position at each node.
        fold: bool (width, height) of the section, or smaller by a whole factor, true where a fold hides the tissue.
    """

    def __init__(
        self, lattice: Lattice, values: FloatArray, linear: FloatArray, fold: NDArray[np.bool_] | None = None
    ) -> None:
        self.lattice = lattice
        self.values = values
        self.linear = linear
        self.fold = fold if fold is not None and fold.any() else None
        self._folds = None if self.fold is None else FoldMask(self.fold, lattice.size)

    @classmethod
    def affine(
        cls, size: tuple[int, int], matrix: FloatArray, nodes: int = 8, fold: NDArray[np.bool_] | None = None
    ) -> Transformation:
        """The same affine map everywhere.

        Args:
            size: width and height of the section in pixels.
            matrix: (2, 3), takes (x, y, 1) of the section to the aligned stack.
            nodes: of the lattice along the longer side.
            fold: see above.
        """
        lattice = Lattice.over(size, nodes)
        values = lattice.nodes() @ matrix[:, :2].T + matrix[:, 2]
        linear = np.broadcast_to(matrix[:, :2], (*lattice.shape, 2, 2)).copy()
        return cls(lattice, values.reshape(*lattice.shape, 2), linear, fold)

    def forward(self, points: FloatArray) -> FloatArray:
        """Positions in the aligned stack.

        Args:
            points: (n, 2), positions (x, y) in pixels of the section.

        Returns:
            (n, 2), NaN under a fold.
        """
        points = kernels.points_of(points)
        result = np.empty(points.shape)
        kernels.forward(*self._arguments, *fold_arguments(self._folds), points, result)
        return result

    def derivative(self, points: FloatArray) -> FloatArray:
        """Derivative of the position in the aligned stack, (n, 2, 2), for points (n, 2) of the section."""
        index, weight = self.lattice.seen(points, self._folds)
        return np.einsum("nc,ncij->nij", weight, self.linear.reshape(-1, 2, 2)[index])

    def inverse(self, points: FloatArray) -> FloatArray:
        """Positions in the section.

        Where two sides of a fold overlap in the aligned stack, that of the nearer node is taken.

        Args:
            points: (n, 2), positions (x, y) in pixels of the aligned stack.

        Returns:
            (n, 2), NaN where nothing of the section comes to lie. Close to its border the positions go on outside.
        """
        result = np.full(points.shape, np.nan)
        todo = np.flatnonzero(np.isfinite(points).all(axis=1))
        nearest = self._tree.query(points[todo])[1]
        result[todo] = self._from_nodes(points[todo], nearest)
        if self._folds is not None:
            # nearly all points are done; the others one candidate after the other
            todo = todo[np.isnan(result[todo, 0])]
            others = self._others(points[todo])
            for candidates in others.T:
                left = (candidates >= 0) & np.isnan(result[todo, 0])
                result[todo[left]] = self._from_nodes(points[todo[left]], candidates[left])
        return result

    def _from_nodes(self, points: FloatArray, nearest: NDArray[np.intp]) -> FloatArray:
        """The way back of points (n, 2) from a node each, (n, 2), NaN where it does not arrive."""
        result = np.empty(points.shape)
        kernels.backward(
            *self._arguments,
            self._inverse,
            *fold_arguments(self._folds),
            kernels.points_of(points),
            np.require(nearest, np.int64, ("C", "W")),
            STEPS,
            TOLERANCE,
            REACH * self.lattice.spacing,
            result,
        )
        return result

    def _others(self, points: FloatArray) -> NDArray[np.intp]:
        """The nodes that come next for points (n, 2), (n, CANDIDATES - 1), -1 for those too far away."""
        count, bound = len(self._tree.data), 2 * self.lattice.spacing
        nodes = self._tree.query(points, k=range(2, CANDIDATES + 1), distance_upper_bound=bound)[1]
        return np.where(nodes < count, nodes, -1)

    def jacobian(self) -> FloatArray:
        """Determinants of the map over each cell of the lattice, (cells along x, cells along y).

        Negative where the section is folded over itself. NaN in cells that a fold cuts.
        """
        v = self.values
        dx = (v[1:, :-1] - v[:-1, :-1] + v[1:, 1:] - v[:-1, 1:]) / (2 * self.lattice.spacing)
        dy = (v[:-1, 1:] - v[:-1, :-1] + v[1:, 1:] - v[1:, :-1]) / (2 * self.lattice.spacing)
        determinant = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
        return np.where(self.whole_cells(), determinant, np.nan)

    def whole_cells(self) -> NDArray[np.bool_]:
        """Cells of the lattice that no fold touches, (cells along x, cells along y)."""
        return self.uncut(self.lattice.nodes().reshape(*self.lattice.shape, 2))

    def uncut(self, corners: FloatArray) -> NDArray[np.bool_]:
        """Cells of any lattice that no fold touches.

        Args:
            corners: (..., nodes along x, nodes along y, 2), positions of its nodes in the section, NaN where there is
                none.

        Returns:
            bool (..., cells along x, cells along y), false too where a corner is NaN.
        """
        x, y = (slice(None, -1), slice(1, None)), (slice(None, -1), slice(1, None))
        sides = [corners[..., i, j, :] for i in x for j in y]
        whole = np.isfinite(sum(sides)).all(axis=-1)
        if self._folds is not None:
            for first, second in combinations(sides, 2):
                near = np.argwhere(whole)
                hit = self._folds.between(first[whole], second[whole])
                whole[tuple(near[hit].T)] = False
        return whole

    def rescaled(self, factor: int, size: tuple[int, int]) -> Transformation:
        """The transformation of the section itself, if this is that of a copy reduced by a whole factor.

        Args:
            factor: by which both this section and the aligned stack are reduced here.
            size: width and height of the section itself.
        """
        values = (self.values + 0.5) * factor - 0.5
        return Transformation(self.lattice.rescaled(factor, size), values, self.linear, self.fold)

    def with_fold(self, fold: NDArray[np.bool_] | None) -> Transformation:
        """The same map with other folds."""
        return Transformation(self.lattice, self.values, self.linear, fold)

    def translated(self, shift: FloatArray) -> Transformation:
        """Follow this transformation by a shift (x, y) in pixels."""
        return Transformation(self.lattice, self.values + shift, self.linear, self.fold)

    def compose(self, change: Callable[[FloatArray], tuple[FloatArray, FloatArray]]) -> Transformation:
        """Follow this transformation by a smooth map of the aligned stack.

        Args:
            change: from positions (n, 2) to new positions and the derivatives (n, 2, 2) there.
        """
        values, derivative = change(self.values.reshape(-1, 2))
        linear = derivative.reshape(self.linear.shape) @ self.linear
        return Transformation(self.lattice, values.reshape(self.values.shape), linear, self.fold)

    def boundary(self) -> FloatArray:
        """Positions (n, 2) of the border of the section in the aligned stack, at the nodes and corners.

        Where folds hide the border, those of the outermost pixels that no fold hides are there too.
        """
        sides = []
        for axis in (0, 1):
            along = np.linspace(0, self.lattice.size[1 - axis] - 1, 2 * self.lattice.shape[1 - axis])
            for end in (0, self.lattice.size[axis] - 1):
                points = np.stack([np.full(len(along), float(end)), along], axis=1)
                sides.append(points if axis == 0 else points[:, ::-1])
        places = self.forward(np.concatenate(sides))
        seen = np.isfinite(places).all(axis=1)
        if not seen.all():
            places = np.concatenate([places, self.forward(self._outermost())])
            seen = np.isfinite(places).all(axis=1)
        return places[seen]

    def _outermost(self) -> FloatArray:
        """First and last pixel of each row and column that no fold hides, (n, 2)."""
        size, found = np.array(self.lattice.size), []
        factor = np.maximum(1, np.rint(size / self.fold.shape))
        for axis, clear in ((0, ~self.fold), (1, ~self.fold.T)):
            lines = np.flatnonzero(clear.any(axis=1))
            first = clear[lines].argmax(axis=1) * factor[1 - axis]
            last = (clear.shape[1] - clear[lines, ::-1].argmax(axis=1)) * factor[1 - axis] - 1
            across = np.tile((lines + 0.5) * factor[axis] - 0.5, 2)
            points = np.stack([across, np.concatenate([first, last])], axis=1)
            found.append(np.clip(points if axis == 0 else points[:, ::-1], 0, size - 1))
        return np.concatenate(found)

    def save(self, path: str | Path, aligned_size: tuple[int, int] = (0, 0), exact: bool = False) -> None:
        """Write everything to a NumPy archive (.npz).

        Args:
            path: of the archive.
            aligned_size: width and height of the aligned stack in pixels, for `load_sizes`.
            exact: whether derivatives are written in double precision, so that `load` gives the very same; in single
                precision, places differ by less than a thousandth of a pixel.
        """
        fold = np.zeros((0, 0), bool) if self.fold is None else self.fold
        np.savez_compressed(
            path,
            size=np.array(self.lattice.size),
            aligned_size=np.array(aligned_size),
            spacing=self.lattice.spacing,
            origin=np.array(self.lattice.origin),
            values=self.values,
            linear=self.linear if exact else self.linear.astype(np.float32),
            fold_shape=np.array(fold.shape),
            fold=np.packbits(fold),
        )

    @classmethod
    def load(cls, path: str | Path) -> Transformation:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is damaged, or no such archive.
        """
        with _archive(path) as archive:
            shape = tuple(archive["fold_shape"])
            fold = np.unpackbits(archive["fold"], count=int(np.prod(shape))).astype(bool).reshape(shape)
            lattice = Lattice(
                tuple(int(n) for n in archive["size"]),
                float(archive["spacing"]),
                tuple(float(x) for x in archive["origin"]),
                archive["values"].shape[:2],
            )
            return cls(lattice, archive["values"], archive["linear"].astype(np.float64), fold)

    @staticmethod
    def load_sizes(path: str | Path) -> tuple[tuple[int, int], tuple[int, int]]:
        """Read width and height of the section and of the aligned stack from what `save` wrote."""
        with _archive(path) as archive:
            return tuple(tuple(int(n) for n in archive[key]) for key in ("size", "aligned_size"))

    @cached_property
    def _arguments(self) -> tuple[tuple[float, float, float], FloatArray, FloatArray]:
        """The maps as `kernels` takes them."""
        return (
            self.lattice.arguments,
            np.require(self.values, np.float64, ("C", "W")),
            np.require(self.linear, np.float64, ("C", "W")),
        )

    @cached_property
    def _inverse(self) -> FloatArray:
        return np.ascontiguousarray(np.linalg.inv(self.linear))

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.values.reshape(-1, 2))


@contextmanager
def _archive(path: str | Path) -> Iterator[Mapping[str, NDArray]]:
    try:
        # NumPy leaves a file open that it opened and found damaged
        with open(path, "rb") as file, np.load(file) as archive:
            yield archive
    # RuntimeError: what a wrong byte makes zipfile believe to be encrypted, or of another kind
    except (ValueError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: is no transformation, or damaged: {error}") from None


def affine_between(
    transformations: Sequence[Transformation], weights: Sequence[float], size: tuple[int, int]
) -> Transformation:
    """What sections have in common, for one that has no transformation of its own.

    Args:
        transformations: of its neighbours.
        weights: how much each counts.
        size: width and height of the section in pixels.

    Returns:
        The weighted mean of their best affine maps. Those turned against the one that counts most are left out: the
        mean of maps that are turned against each other is smaller than the section.
    """
    matrices = []
    for transformation in transformations:
        points = np.column_stack([transformation.lattice.nodes(), np.ones(len(transformation.lattice.nodes()))])
        matrices.append(np.linalg.lstsq(points, transformation.values.reshape(-1, 2), rcond=None)[0].T)
    turns = np.array([np.exp(1j * np.arctan2(m[1, 0] - m[0, 1], m[0, 0] + m[1, 1])) for m in matrices])
    alike = np.abs(np.angle(turns / turns[np.argmax(weights)])) < MOST_TURNED
    return Transformation.affine(size, np.average(matrices, axis=0, weights=np.where(alike, weights, 0)))
