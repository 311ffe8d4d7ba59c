"""Moving least squares whose weights go around folds.

Schaefer, McPhail, Warren 2006, "Image deformation using moving least squares", ACM Transactions on Graphics 25(3).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

from .grid import FoldMask, Grid
from .transformation import Transformation

__all__ = ["MODELS", "MovingLeastSquares", "MovingLeastSquaresFit"]

MODELS = ("affine", "similarity", "rigid")

LEAK = 1e-6
"""Conductance of a cut link: a side of a fold without any match follows the other side, one with matches ignores it."""

FloatArray = NDArray[np.float64]


class MovingLeastSquares:
    """The deformation that fits matches best around each point, where near means near along a path around folds.

    At each node v of a grid over the section, the map l_v minimises the sum of w_i(v) |l_v(p_i) - q_i|² over the
    matches p_i -> q_i (Schaefer et al., equation 1), in closed form for all three models (sections 2.1 to 2.3).

    Schaefer's weight 1/|p_i - v|^(2 alpha) is a function of the straight distance, and passes through the matches
    exactly. Here it is the sum of kernels of diffusion (I - r²Δ)^-2 with radii r of `smoothing`, twice that, and so on,
    which together fall like that power beyond `smoothing` and are flat below it, so that errors of single matches
    average out. What diffuses cannot pass a fold: the links of the grid that cross one are cut, and a match's weight
    falls with its distance along paths around the fold (distances from heat: Crane, Weischedel, Wardetzky 2013, ACM
    Transactions on Graphics 32(5)). All moments of the matches diffuse at once, so the cost does not depend on their
    number.

    Args:
        model: ``"affine"``, ``"similarity"`` or ``"rigid"``, the maps l_v.
        smoothing: radius of the smallest kernel, as a share of the section's longer side.
        alpha: how fast the weight falls beyond it, greater than 1; see above.
        nodes: of the grid along the longer side.
        around_folds: whether the weights go around folds; if not, they go straight through, as Schaefer's.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        model: str = "affine",
        smoothing: float = 0.016,
        alpha: float = 3.0,
        nodes: int = 128,
        around_folds: bool = True,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"model has to be one of {', '.join(MODELS)}, got {model!r}")
        for name, value, low, high in (("smoothing", smoothing, 0, 1), ("alpha", alpha, 1, 10)):
            if not low < value < high:
                raise ValueError(f"{name} has to be between {low} and {high}, got {value!r}")
        if nodes < 8:
            raise ValueError(f"nodes has to be at least 8, got {nodes!r}")
        self.model = model
        self.smoothing = smoothing
        self.alpha = alpha
        self.nodes = nodes
        self.around_folds = around_folds

    def smoother(self, factor: float) -> MovingLeastSquares:
        """The same with a larger `smoothing`, for few matches."""
        smoothing = min(0.25, factor * self.smoothing)
        return MovingLeastSquares(self.model, smoothing, self.alpha, self.nodes, self.around_folds)

    def prepare(self, size: tuple[int, int], fold: NDArray[np.bool_] | None = None) -> MovingLeastSquaresFit:
        """Set up the grid and the diffusion of one section, for one or several fits.

        Args:
            size: width and height of the section in pixels.
            fold: bool (width, height) or smaller by a whole factor, true where a fold hides the tissue.

        Returns:
            What fits matches of this section.
        """
        grid = Grid.over(size, self.nodes)
        folds = FoldMask(fold, size) if fold is not None and self.around_folds and fold.any() else None
        factors = (
            _factorise(grid, self._radii(grid), _link_weights(grid, folds))
            if folds is not None
            else _open(grid, self._radii(grid))
        )
        return MovingLeastSquaresFit(grid, fold, folds, self.model, self.alpha, factors)

    def _radii(self, grid: Grid) -> tuple[float, ...]:
        """Radii of the kernels in spacings of the grid."""
        longer = max(grid.size) / grid.spacing
        count = int(np.ceil(np.log2(max(2.0, 0.5 / self.smoothing))))
        return tuple(longer * self.smoothing * 2.0**k for k in range(count + 1))


class MovingLeastSquaresFit:
    """Fits matches of one section; made by `MovingLeastSquares.prepare`."""

    def __init__(
        self,
        grid: Grid,
        fold: NDArray[np.bool_] | None,
        folds: FoldMask | None,
        model: str,
        alpha: float,
        factors: tuple[SuperLU, ...],
    ) -> None:
        self.grid = grid
        self.fold = fold
        self._folds = folds
        self.model = model
        self.alpha = alpha
        self._factors = factors

    def __call__(self, points: FloatArray, targets: FloatArray, weights: FloatArray | None = None) -> Transformation:
        """Fit the deformation.

        Args:
            points: (n, 2), positions (x, y) in pixels of the section; at least 3 that do not lie on a line.
            targets: (n, 2), where they belong.
            weights: (n,), confidence in each match; equal if None.

        Returns:
            The transformation of the section.
        """
        weights = np.ones(len(points)) if weights is None else weights
        middle, scale = np.array(self.grid.size) / 2, max(self.grid.size) / 2
        p, q = (points - middle) / scale, (targets - middle) / scale
        columns = [np.ones(len(p)), *p.T, *q.T, p[:, 0] ** 2, p[:, 0] * p[:, 1], p[:, 1] ** 2]
        columns += [p[:, i] * q[:, j] for i in (0, 1) for j in (0, 1)]
        moments = self._diffuse(points, weights[:, None] * np.stack(columns, axis=1))
        total = moments[:, 0]
        moments = moments[:, 1:] / total[:, None]
        pm, qm = moments[:, 0:2], moments[:, 2:4]
        pp = moments[:, [4, 5, 5, 6]].reshape(-1, 2, 2) - pm[:, :, None] * pm[:, None, :]
        pq = moments[:, 7:11].reshape(-1, 2, 2) - pm[:, :, None] * qm[:, None, :]
        linear = _linear_part(self.model, pp, pq)
        nodes = (self.grid.nodes() - middle) / scale
        values = qm + np.einsum("nij,nj->ni", linear, nodes - pm)
        shape = self.grid.shape
        return Transformation(
            self.grid, (values * scale + middle).reshape(*shape, 2), linear.reshape(*shape, 2, 2), self.fold
        )

    def _diffuse(self, points: FloatArray, values: FloatArray) -> FloatArray:
        """Weighted sums of the values of all points at each node, (nodes, channels)."""
        source = self.grid.scatter(points, values, self._folds)
        result = np.zeros_like(source)
        for level, factor in enumerate(self._factors):
            result += 4.0 ** (-level * (self.alpha - 1)) * factor.solve(factor.solve(source))
        return result


def _linear_part(model: str, pp: FloatArray, pq: FloatArray) -> FloatArray:
    """The linear parts (n, 2, 2) of the best maps, from the covariances of positions with positions and targets."""
    spread = np.trace(pp, axis1=1, axis2=2)
    dot = pq[:, 0, 0] + pq[:, 1, 1]
    cross = pq[:, 0, 1] - pq[:, 1, 0]
    if model == "rigid":
        cosine, sine = np.stack([dot, cross]) / np.maximum(np.hypot(dot, cross), 1e-300)
    else:
        cosine, sine = np.stack([dot, cross]) / np.maximum(spread, 1e-300)
    similar = np.stack([cosine, -sine, sine, cosine], axis=1).reshape(-1, 2, 2)
    if model != "affine":
        return similar
    # where matches lie nearly on a line, the direction across it is taken from the similarity
    ridge = 1e-3 * spread[:, None, None] * np.eye(2)
    return (pq.swapaxes(1, 2) + similar @ ridge) @ np.linalg.inv(pp + ridge)


def _link_weights(grid: Grid, folds: FoldMask) -> tuple[FloatArray, FloatArray]:
    nodes = grid.nodes().reshape(*grid.shape, 2)
    pairs = ((nodes[:-1], nodes[1:]), (nodes[:, :-1], nodes[:, 1:]))
    return tuple(np.where(folds.between(start, stop), LEAK, 1.0) for start, stop in pairs)


@lru_cache(maxsize=2)
def _open(grid: Grid, radii: tuple[float, ...]) -> tuple[SuperLU, ...]:
    """Most sections have no fold: they share their factors."""
    width, height = grid.shape
    return _factorise(grid, radii, (np.ones((width - 1, height)), np.ones((width, height - 1))))


def _factorise(grid: Grid, radii: tuple[float, ...], links: tuple[FloatArray, FloatArray]) -> tuple[SuperLU, ...]:
    """LU factors of I - r²Δ for each radius, with Δ the Laplacian of the grid's graph."""
    index = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    start = np.concatenate([index[:-1].ravel(), index[:, :-1].ravel()])
    stop = np.concatenate([index[1:].ravel(), index[:, 1:].ravel()])
    weight = np.concatenate([link.ravel() for link in links])
    adjacency = sparse.coo_array((weight, (start, stop)), shape=(index.size,) * 2)
    laplacian = sparse.csgraph.laplacian((adjacency + adjacency.T).tocsc())
    one = sparse.eye_array(index.size, format="csc")
    return tuple(splu((one + radius**2 * laplacian).tocsc(), permc_spec="MMD_AT_PLUS_A") for radius in radii)
