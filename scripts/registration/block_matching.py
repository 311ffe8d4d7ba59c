"""Block matching: patches of a section found again in its neighbour by normalised cross-correlation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .transformation import Transformation

__all__ = ["PatchMatches", "match_patches"]

FloatArray = NDArray[np.float64]

MOST_INVALID = 0.3
"""Share of a patch or of its surroundings that may lie under a fold or outside the tissue."""


@dataclass(frozen=True)
class PatchMatches:
    """Where patches of a section were found in its neighbour.

    Attributes:
        points: float64 (n, 2), middles of the patches in pixels of the section.
        targets: float64 (n, 2), where they were found, in pixels of the aligned stack.
        expected: float64 (n, 2), where they were looked for.
        correlation: float64 (n,), normalised cross-correlation there, from -1 to 1.
        peak_margin: float64 (n,), by what share the best place is better than the second best elsewhere, from 0 to 1.
        initial_correlation: float64 (n,), the correlation where they were looked for.
    """

    points: FloatArray
    targets: FloatArray
    expected: FloatArray
    correlation: FloatArray
    peak_margin: FloatArray
    initial_correlation: FloatArray

    def __len__(self) -> int:
        return len(self.points)

    @property
    def weights(self) -> FloatArray:
        """Confidence in each match, (n,)."""
        return np.clip(self.correlation, 0.02, 1) * np.clip(self.peak_margin, 0.02, 1)


def match_patches(
    moving: NDArray[np.uint8],
    moving_invalid: NDArray[np.bool_],
    fixed: NDArray[np.uint8],
    fixed_invalid: NDArray[np.bool_],
    transformation: Transformation,
    size: int,
    radius: int,
    step: float,
    offset: float = 0.0,
) -> PatchMatches:
    """Look for patches of a section, deformed as far as its transformation is known, near where it puts them.

    Args:
        moving: the section, (width, height).
        moving_invalid: bool, same shape: folds and missing tissue.
        fixed: its neighbour in the aligned stack, (width, height).
        fixed_invalid: bool, same shape as `fixed`: where it shows nothing.
        transformation: of the section, as far as it is known.
        size: of the square patches in pixels.
        radius: how far they are looked for, in pixels.
        step: from patch to patch, in pixels.
        offset: of the first patch, as a share of the step.

    Returns:
        The patches that were found, without those whose best place lies at the border of the search.
    """
    half = size // 2
    axes = [np.arange(half / 2 + offset * step, n - half / 2, step) for n in moving.shape]
    # patches at the border are looked for beyond it too
    margin = half + radius
    fixed = cv2.copyMakeBorder(fixed, *(4 * [margin]), cv2.BORDER_REFLECT_101)
    fixed_invalid = cv2.copyMakeBorder(fixed_invalid.astype(np.uint8), *(4 * [margin]), cv2.BORDER_CONSTANT, value=1)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    expected = transformation.forward(points)
    known = np.isfinite(expected).all(axis=1)
    points, expected = points[known], expected[known]
    inverse = np.linalg.inv(transformation.derivative(points))
    moving_invalid = moving_invalid.astype(np.uint8)
    corners = np.rint(expected).astype(int) - half  # of the patches in the neighbour
    middles = points + np.einsum("nij,nj->ni", inverse, corners + half - expected)

    def found(middle: FloatArray, back: FloatArray, corner: NDArray[np.intp]) -> tuple[float, ...] | None:
        start, stop = corner - radius + margin, corner + 2 * half + 1 + radius + margin
        if start.min() < 0 or stop[0] > fixed.shape[0] or stop[1] > fixed.shape[1]:
            return None
        window = slice(start[0], stop[0]), slice(start[1], stop[1])
        if _share(fixed_invalid[window]) > MOST_INVALID:
            return None
        patch = _patch(moving, moving_invalid, middle, back, half)
        match = None if patch is None else _best_place(patch, fixed[window], radius, max(4, half // 4))
        return match and (*middle, *(corner + half + match[:2]), *(corner + half), *match[2:])

    # one patch does not depend on another: the number of threads changes nothing
    with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as pool:
        matches = [match for match in pool.map(found, middles, inverse, corners) if match is not None]
    table = np.array(matches, np.float64).reshape(-1, 9)
    return PatchMatches(table[:, 0:2], table[:, 2:4], table[:, 4:6], *table[:, 6:].T)


def _share(mask: NDArray[np.uint8]) -> float:
    return cv2.countNonZero(mask) / mask.size


def _patch(
    moving: NDArray[np.uint8], invalid: NDArray[np.uint8], middle: FloatArray, back: FloatArray, half: int
) -> NDArray[np.uint8] | None:
    """A patch around a point, deformed as the neighbour shows it; None where too little of it is known."""
    shift = middle - back @ (half, half)
    # OpenCV takes the first axis for rows: its x is our y
    matrix = np.array([[back[1, 1], back[1, 0], shift[1]], [back[0, 1], back[0, 0], shift[0]]])
    masked = _cut_out(invalid, matrix, 2 * half + 1, cv2.INTER_NEAREST, 1)
    share = _share(masked)
    if share > MOST_INVALID:
        return None
    patch = _cut_out(moving, matrix, 2 * half + 1, cv2.INTER_LINEAR, 0)
    if share:
        known = masked == 0
        patch[~known] = patch[known].mean()  # says nothing, wherever it lies
    return patch


def _cut_out(image: NDArray[np.uint8], matrix: FloatArray, size: int, interpolation: int, outside: int) -> NDArray:
    return cv2.warpAffine(
        image,
        matrix,
        (size, size),
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=outside,
    )


def _best_place(
    patch: NDArray[np.uint8], surroundings: NDArray[np.uint8], radius: int, apart: int
) -> tuple[float, float, float, float, float] | None:
    """Offset (x, y) of the best place to a fraction of a pixel, correlation and margin there, initial correlation."""
    if min(cv2.meanStdDev(picture)[1].item() for picture in (patch, surroundings)) < 2:  # resin or nothing at all
        return None
    scores = cv2.matchTemplate(surroundings, patch, cv2.TM_CCOEFF_NORMED)
    i, j = np.unravel_index(scores.argmax(), scores.shape)
    if not (0 < i < 2 * radius and 0 < j < 2 * radius):
        return None
    best = float(scores[i, j])
    if not best > 0:
        return None
    initial_correlation = float(scores[radius, radius])
    offset = []
    for before, after in ((scores[i - 1, j], scores[i + 1, j]), (scores[i, j - 1], scores[i, j + 1])):
        offset.append(min(max((after - before) / 2 / max(2 * best - before - after, 1e-6), -0.5), 0.5))
    scores[max(0, i - apart) : i + apart + 1, max(0, j - apart) : j + apart + 1] = -1
    return (
        i - radius + offset[0],
        j - radius + offset[1],
        best,
        1 - max(float(scores.max()), 0) / best,
        initial_correlation,
    )
