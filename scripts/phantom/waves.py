"""Smooth random fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["PlaneWaves"]

FloatArray = NDArray[np.floating]


class PlaneWaves:
    """Smooth Gaussian random field of zero mean and unit variance, as a sum of random plane waves.

    The spectral method (Shinozuka and Deodatis 1991): it can be evaluated anywhere, and on a grid it costs one matrix
    product, since each wave is separable.

    Args:
        rng: source of the waves.
        shortest: wavelength.
        longest: wavelength, in the same unit.
        waves: how many are summed.
    """

    def __init__(self, rng: np.random.Generator, shortest: float, longest: float, waves: int = 48) -> None:
        direction = rng.normal(size=(3, waves))
        direction /= np.linalg.norm(direction, axis=0)
        self.vectors = direction * (2 * np.pi / rng.uniform(shortest, longest, waves))
        self.phases = rng.uniform(0, 2 * np.pi, waves)
        self.scale = np.sqrt(2 / waves)

    def __call__(self, points: FloatArray) -> FloatArray:
        """Values (...) at points (..., 3)."""
        return self.scale * np.cos(points @ self.vectors + self.phases).sum(axis=-1)

    def on_section(self, x: FloatArray, y: FloatArray, z: float) -> FloatArray:
        """Values, float32 (len(x), len(y)), at all pairs of x and y in the plane z."""
        along_x = np.outer(x, self.vectors[0])
        along_y = np.outer(self.vectors[1], y) + (self.vectors[2] * z + self.phases)[:, None]
        left = np.hstack([np.cos(along_x), -np.sin(along_x)]).astype(np.float32)
        right = np.vstack([np.cos(along_y), np.sin(along_y)]).astype(np.float32)
        return np.float32(self.scale) * (left @ right)
