"""Measures of profiles: what a mitochondrion looks like in one section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull, QhullError, cKDTree
from skimage.measure import find_contours, regionprops

__all__ = ["PROFILE_MEASURES", "Profiles", "measure_profiles", "nearest_neighbours"]

SMOOTHING = 1.0
"""Pixels, standard deviation: a staircase is some 5 % longer than the line that it stands for."""

PROFILE_MEASURES = (
    "area",
    "perimeter",
    "circularity",
    "form_factor",
    "aspect_ratio",
    "feret_max",
    "feret_min",
    "orientation",
    "solidity",
    "mean_grey",
    "centroid_x",
    "centroid_y",
    "touches_border",
)
"""Columns of `Profiles.table`, in this order; `scripts.objects.columns` defines them."""


@dataclass(frozen=True)
class Profiles:
    """Measures of the profiles of a section.

    Attributes:
        table: float64 (profiles, measures), see `PROFILE_MEASURES`; row i is profile i + 1.
        outlines: for each profile its outer boundary, float32 (points, 2), x and y in pixels.
        boxes: int64 (profiles, 4): first row, first column, last row, last column.
    """

    table: NDArray[np.float64]
    outlines: list[NDArray[np.float32]]
    boxes: NDArray[np.int64]


def measure_profiles(
    labels: NDArray[np.integer],
    spacing: tuple[float, float] = (1.0, 1.0),
    grey: NDArray | None = None,
    valid: NDArray[np.bool_] | None = None,
) -> Profiles:
    """Measure each profile of a section.

    Areas count pixels. Perimeter and Feret diameters are those of the outline at subpixel precision: the mask smoothed
    by one pixel and cut at a half (marching squares). The outline of an object of less than some 20 pixels shrinks by
    smoothing, so its own staircase is taken where the outline loses a tenth of the area.

    Args:
        labels: int (height, width), profiles numbered from 1 without gaps.
        spacing: height and width of a pixel; lengths come in its unit, areas in its square.
        grey: the section itself, of the same shape; without it mean grey levels are NaN.
        valid: bool, of the same shape, where there is tissue; a profile at its border is cut, as at the picture's.

    Returns:
        The measures.
    """
    regions = regionprops(labels, intensity_image=grey)
    table = np.full((len(regions), len(PROFILE_MEASURES)), np.nan)
    boxes = np.zeros((len(regions), 4), np.int64)
    outlines = []
    dy, dx = spacing
    for row, region in enumerate(regions):
        top, left, bottom, right = region.bbox
        boxes[row] = top, left, bottom - 1, right - 1
        outline = _outline(region.image) + np.array([top, left])
        points = outline * np.array([dy, dx])
        area = region.area * dy * dx
        perimeter = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
        hull = _hull(points)
        longest, shortest, hull_area = _feret(hull)
        major, minor, angle = _axes(region.image, spacing)
        y, x = region.centroid
        table[row] = (
            area,
            perimeter,
            min(1.0, 4 * np.pi * area / perimeter**2),
            max(1.0, perimeter**2 / (4 * np.pi * area)),
            major / minor,
            longest,
            shortest,
            angle,
            min(1.0, area / hull_area),
            region.intensity_mean if grey is not None else np.nan,
            (x + 0.5) * dx,
            (y + 0.5) * dy,
            _touches(region, labels.shape, valid),
        )
        outlines.append((outline[:, ::-1] + 0.5).astype(np.float32))
    return Profiles(table, outlines, boxes)


def nearest_neighbours(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from each centroid to the nearest other one of the section.

    Args:
        x: of the centroids.
        y: of the centroids.

    Returns:
        Distances; NaN where a section holds a single profile.
    """
    if len(x) < 2:
        return np.full(len(x), np.nan)
    points = np.stack([x, y], axis=1)
    return cKDTree(points).query(points, 2)[0][:, 1]


def _outline(image: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The outer boundary (points, 2), rows and columns, closed."""
    padded = np.pad(image, 4).astype(np.float32)
    smooth = max(find_contours(gaussian_filter(padded, SMOOTHING), 0.5), key=len, default=np.zeros((0, 2)))
    if len(smooth) < 4 or _polygon_area(smooth) < 0.9 * np.count_nonzero(image):
        smooth = max(find_contours(padded, 0.5), key=len)
    return smooth - 4


def _polygon_area(points: NDArray[np.float64]) -> float:
    y, x = points.T
    return abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))) / 2


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:  # all points on a line
        return points


def _feret(hull: NDArray[np.float64]) -> tuple[float, float, float]:
    """Largest and smallest distance of two parallel tangents, and the area of the hull."""
    edges = np.diff(hull, axis=0, append=hull[:1])
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    widths = np.ptp(hull @ normals.T, axis=0)
    longest = np.sqrt(((hull[:, None] - hull[None]) ** 2).sum(axis=-1).max())
    return float(longest), float(widths.min()), _polygon_area(np.vstack([hull, hull[:1]]))


def _axes(image: NDArray[np.bool_], spacing: tuple[float, float]) -> tuple[float, float, float]:
    """Axes of the ellipse of equal second moments, and the angle of the longer one from x to y, in degrees [0, 180)."""
    y, x = (axis * step for axis, step in zip(np.nonzero(image), spacing, strict=True))
    # a pixel is a square, not a point: its own second moment keeps a line of pixels from being infinitely thin
    own = np.diag([spacing[1] ** 2, spacing[0] ** 2]) / 12
    values, vectors = np.linalg.eigh(np.cov(np.stack([x, y]), bias=True) + own)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180
    return 4 * np.sqrt(values[1]), 4 * np.sqrt(values[0]), float(angle)


def _touches(region: object, shape: tuple[int, int], valid: NDArray[np.bool_] | None) -> bool:
    top, left, bottom, right = region.bbox
    if top == 0 or left == 0 or bottom == shape[0] or right == shape[1]:
        return True
    if valid is None:
        return False
    around = slice(top - 1, bottom + 1), slice(left - 1, right + 1)
    if valid[around].all():
        return False
    image = np.pad(region.image, 1)
    grown = image.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            grown |= np.roll(image, step, axis)
    return bool((grown & ~valid[around]).any())
