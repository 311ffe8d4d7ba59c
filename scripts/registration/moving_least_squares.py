"""Moving least squares whose weights go around folds.

Schaefer, McPhail, Warren 2006, "Image deformation using moving least squares", ACM Transactions on Graphics 25(3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.fft import dctn, idctn
from scipy.sparse.linalg import SuperLU, splu

from .fold_mask import FoldMask
from .lattice import Lattice
from .transformation import Transformation

__all__ = ["MODELS", "MovingLeastSquares", "MovingLeastSquaresFit", "fit_robustly"]

MODELS = ("affine", "similarity", "rigid")

MOST_NODES = 1024
"""Along the longer side: more than a fit with folds could hold in memory."""

LEAK = 1e-6
"""Conductance of a cut link: a side of a fold without any match follows the other side, one with matches ignores it."""

CAUTION = (6.0, 3.0, 1.5)
"""Residual, in medians of all residuals, at which a match counts a quarter (Geman, McClure 1987), in each round: a
strong bend must not be taken for wrong matches before it is fitted (Blake, Zisserman 1987)."""

FloatArray = NDArray[np.float64]


class MovingLeastSquares:
    """The deformation that fits matches best around each point, where near means near along a path around folds.

    At each node v of a lattice over the section, the map l_v minimises the sum of w_i(v) |l_v(p_i) - q_i|² over the
    matches p_i -> q_i (Schaefer et al., equation 1), in closed form for all three models (sections 2.1 to 2.3).

    Schaefer's weight 1/|p_i - v|^(2 alpha) is a function of the straight distance, and passes through the matches
    exactly. Here it is the sum of kernels of diffusion (I - r²Δ)^-2 with radii r of `kernel_radius`, twice that, and so
    on, which together fall like that power beyond `kernel_radius` and are flat below it, so that errors of single
    matches average out. What diffuses cannot pass a fold: the links of the lattice that cross one are cut, and a
    match's weight falls with its distance along paths around the fold (distances from heat: Crane, Weischedel,
    Wardetzky 2013, ACM Transactions on Graphics 32(5)). All moments of the matches diffuse at once, so the cost does
    not depend on their number.

    Args:
        transform_model: ``"affine"``, ``"similarity"`` or ``"rigid"``, the maps l_v.
        kernel_radius: radius of the smallest kernel, as a share of the section's longer side.
        weight_exponent: how fast the weight falls beyond it, greater than 1; see above.
        grid_nodes: of the lattice along the longer side.
        fold_aware: whether the weights go around folds; if not, they go straight through, as Schaefer's.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        transform_model: str = "affine",
        kernel_radius: float = 0.016,
        weight_exponent: float = 3.0,
        grid_nodes: int = 128,
        fold_aware: bool = True,
    ) -> None:
        if transform_model not in MODELS:
            raise ValueError(f"transform_model must be one of {', '.join(MODELS)}, but got {transform_model!r}")
        for name, value, low, high in (
            ("kernel_radius", kernel_radius, 0, 1),
            ("weight_exponent", weight_exponent, 1, 10),
        ):
            if not low < value < high:
                raise ValueError(f"{name} must be between {low} and {high}, but got {value!r}")
        if type(grid_nodes) is not int or not 8 <= grid_nodes <= MOST_NODES:
            raise ValueError(f"grid_nodes must be a whole number from 8 to {MOST_NODES}, but got {grid_nodes!r}")
        self.transform_model = transform_model
        self.kernel_radius = kernel_radius
        self.weight_exponent = weight_exponent
        self.grid_nodes = grid_nodes
        self.fold_aware = fold_aware

    def settings(self) -> dict[str, Any]:
        """What decides on the results, by the names of `configs/register.json`, whatever the attributes are called."""
        return {
            "transform_model": self.transform_model,
            "kernel_radius": self.kernel_radius,
            "weight_exponent": self.weight_exponent,
            "grid_nodes": self.grid_nodes,
            "fold_aware": self.fold_aware,
        }

    def smoother(self, factor: float) -> MovingLeastSquares:
        """The same with a larger `kernel_radius`, for few matches."""
        kernel_radius = min(0.25, factor * self.kernel_radius)
        return MovingLeastSquares(
            self.transform_model, kernel_radius, self.weight_exponent, self.grid_nodes, self.fold_aware
        )

    def prepare(self, size: tuple[int, int], fold: NDArray[np.bool_] | None = None) -> MovingLeastSquaresFit:
        """Set up the lattice and the diffusion of one section, for one or several fits.

        Args:
            size: width and height of the section in pixels.
            fold: bool (width, height) or smaller by a whole factor, true where a fold hides the tissue.

        Returns:
            What fits matches of this section.
        """
        lattice = Lattice.over(size, self.grid_nodes)
        folds = FoldMask(fold, size) if fold is not None and self.fold_aware and fold.any() else None
        kernels = self._radii(lattice), self.weight_exponent
        diffuse = _freely(lattice, *kernels) if folds is None else _around(lattice, folds, *kernels)
        return MovingLeastSquaresFit(lattice, fold, folds, self.transform_model, diffuse)

    def _radii(self, lattice: Lattice) -> tuple[float, ...]:
        """Radii of the kernels in spacings of the lattice."""
        longer = max(lattice.size) / lattice.spacing
        count = int(np.ceil(np.log2(max(2.0, 0.5 / self.kernel_radius))))
        return tuple(longer * self.kernel_radius * 2.0**k for k in range(count + 1))


class MovingLeastSquaresFit:
    """Fits matches of one section; made by `MovingLeastSquares.prepare`."""

    def __init__(
        self,
        lattice: Lattice,
        fold: NDArray[np.bool_] | None,
        folds: FoldMask | None,
        transform_model: str,
        diffuse: Callable[[FloatArray], FloatArray],
    ) -> None:
        self.lattice = lattice
        self.fold = fold
        self._folds = folds
        self.transform_model = transform_model
        self._diffuse = diffuse

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
        middle, scale = np.array(self.lattice.size) / 2, max(self.lattice.size) / 2
        p, q = (points - middle) / scale, (targets - middle) / scale
        columns = [np.ones(len(p)), *p.T, *q.T, p[:, 0] ** 2, p[:, 0] * p[:, 1], p[:, 1] ** 2]
        columns += [p[:, i] * q[:, j] for i in (0, 1) for j in (0, 1)]
        columns = weights[:, None] * np.stack(columns, axis=1)
        moments = self._diffuse(self.lattice.scatter(points, columns, self._folds))
        total = moments[:, 0]
        moments = moments[:, 1:] / total[:, None]
        pm, qm = moments[:, 0:2], moments[:, 2:4]
        pp = moments[:, [4, 5, 5, 6]].reshape(-1, 2, 2) - pm[:, :, None] * pm[:, None, :]
        pq = moments[:, 7:11].reshape(-1, 2, 2) - pm[:, :, None] * qm[:, None, :]
        linear = _linear_part(self.transform_model, pp, pq)
        nodes = (self.lattice.nodes() - middle) / scale
        values = qm + np.einsum("nij,nj->ni", linear, nodes - pm)
        shape = self.lattice.shape
        return Transformation(
            self.lattice, (values * scale + middle).reshape(*shape, 2), linear.reshape(*shape, 2, 2), self.fold
        )


def fit_robustly(
    fit: MovingLeastSquaresFit,
    points: FloatArray,
    targets: FloatArray,
    weights: FloatArray | None = None,
) -> tuple[Transformation, FloatArray]:
    """Fit matches of which many are wrong: those that do not fit their surroundings come to count less and less.

    Args:
        fit: of the section.
        points: (n, 2), positions in the section.
        targets: (n, 2), where they belong.
        weights: (n,), confidence in each match.

    Returns:
        The transformation, and the weights (n,) in the end.
    """
    confidence = np.ones(len(points)) if weights is None else weights
    weights = confidence
    for tolerance in CAUTION:
        transformation = fit(points, targets, weights)
        residual = np.linalg.norm(transformation.forward(points) - targets, axis=1)
        residual = np.nan_to_num(residual, nan=np.inf)
        scale = tolerance * max(0.5, float(np.median(residual)))
        weights = confidence / (1 + (residual / scale) ** 2) ** 2
    return fit(points, targets, weights), weights


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


def _link_weights(lattice: Lattice, folds: FoldMask) -> tuple[FloatArray, FloatArray]:
    nodes = lattice.nodes().reshape(*lattice.shape, 2)
    pairs = ((nodes[:-1], nodes[1:]), (nodes[:, :-1], nodes[:, 1:]))
    return tuple(np.where(folds.between(start, stop), LEAK, 1.0) for start, stop in pairs)


@lru_cache(maxsize=2)
def _freely(lattice: Lattice, radii: Sequence[float], exponent: float) -> Callable[[FloatArray], FloatArray]:
    """Diffusion over the whole lattice, (nodes, channels) to the same; most sections have no fold, and share it.

    Cosines are the eigenvectors of the Laplacian of a lattice without cuts (Strang 1999, "The discrete cosine
    transform", SIAM Review 41(1)).
    """
    x, y = (2 - 2 * np.cos(np.pi * np.arange(length) / length) for length in lattice.shape)
    eigenvalues = x[:, None] + y
    gain = sum(
        weight / (1 + radius**2 * eigenvalues) ** 2
        for weight, radius in zip(_level_weights(radii, exponent), radii, strict=True)
    )

    def diffuse(source: FloatArray) -> FloatArray:
        spectrum = dctn(source.reshape(*lattice.shape, -1), axes=(0, 1))
        return idctn(spectrum * gain[..., None], axes=(0, 1)).reshape(source.shape)

    return diffuse


def _around(
    lattice: Lattice, folds: FoldMask, radii: Sequence[float], exponent: float
) -> Callable[[FloatArray], FloatArray]:
    """Diffusion around folds, (nodes, channels) to the same."""
    weights = _level_weights(radii, exponent)
    factors = _factorise(lattice, radii, _link_weights(lattice, folds))

    def diffuse(source: FloatArray) -> FloatArray:
        return sum(weight * factor.solve(factor.solve(source)) for weight, factor in zip(weights, factors, strict=True))

    return diffuse


def _level_weights(radii: Sequence[float], exponent: float) -> FloatArray:
    """How much the kernel of each radius counts."""
    return 4.0 ** (-np.arange(len(radii)) * (exponent - 1))


def _factorise(lattice: Lattice, radii: Sequence[float], links: tuple[FloatArray, FloatArray]) -> tuple[SuperLU, ...]:
    """LU factors of I - r²Δ for each radius, with Δ the Laplacian of the lattice's graph."""
    index = np.arange(np.prod(lattice.shape)).reshape(lattice.shape)
    start = np.concatenate([index[:-1].ravel(), index[:, :-1].ravel()])
    stop = np.concatenate([index[1:].ravel(), index[:, 1:].ravel()])
    weight = np.concatenate([link.ravel() for link in links])
    adjacency = sparse.coo_array((weight, (start, stop)), shape=(index.size,) * 2)
    laplacian = sparse.csgraph.laplacian((adjacency + adjacency.T).tocsc())
    one = sparse.eye_array(index.size, format="csc")
    return tuple(splu((one + radius**2 * laplacian).tocsc(), permc_spec="MMD_AT_PLUS_A") for radius in radii)
