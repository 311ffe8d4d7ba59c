"""Distances, and how dark a membrane or a filling is at a distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["IMAGING_DEPTH", "membrane_profile", "segment_distance", "smooth_step", "tube_distance", "unit"]

FloatArray = NDArray[np.floating]

IMAGING_DEPTH = 25.0
"""Nanometres of a section that are seen: oblique membranes blur over it, as with back-scattered electrons."""


def unit(vectors: FloatArray) -> FloatArray:
    """Vectors (..., n) of length 1 in the same direction."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def membrane_profile(distance: FloatArray, sigma: float, tilt: FloatArray | float = 0.0) -> FloatArray:
    """Darkness at a distance from a membrane, averaged over the imaging depth where the membrane is oblique.

    `tilt` is the component of the membrane's unit normal along z: the average runs over IMAGING_DEPTH * tilt of the
    distance. Its box is replaced by the Gaussian of equal variance.
    """
    width = np.sqrt(sigma**2 + np.square(IMAGING_DEPTH * tilt) / 12)
    return sigma / width * np.exp(-0.5 * np.square(distance / width))


def smooth_step(distance: FloatArray, width: float) -> FloatArray:
    """From 0 far outside (negative distances) to 1 inside, linearly over a width."""
    return np.clip(distance / width + 0.5, 0, 1)


def segment_distance(
    points: FloatArray, start: FloatArray, stop: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distance from a segment, position of the nearest point on it in [0, 1], and offset from that point."""
    along = stop - start
    position = np.clip((points - start) @ along / np.maximum(along @ along, 1e-6), 0, 1)
    offset = points - start - position[..., None] * along
    return np.linalg.norm(offset, axis=-1), position, offset


def tube_distance(points: FloatArray, axis: FloatArray, radii: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distance to the surface of a tube around a polyline, positive inside, and the tilt of the surface's normal."""
    best = np.full(points.shape[:-1], -np.inf)
    tilt = np.zeros_like(best)
    for i in range(len(axis) - 1):
        length, position, offset = segment_distance(points, axis[i], axis[i + 1])
        distance = radii[i] + position * (radii[i + 1] - radii[i]) - length
        closer = distance > best
        best[closer] = distance[closer]
        tilt[closer] = (offset[..., 2] / np.maximum(length, 1))[closer]
    return best, tilt
