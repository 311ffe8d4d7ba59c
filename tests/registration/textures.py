"""Tissue without any structure but its grain, for tests of the registration."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def texture(seed: int, size: tuple[int, int]) -> np.ndarray:
    """Grain of several sizes, float32 from 0 to 1."""
    rng = np.random.default_rng(seed)
    grains = [gaussian_filter(rng.normal(size=size), sigma, mode="wrap") for sigma in (1.5, 4, 10)]
    return np.clip(0.6 + 0.1 * sum(grain / grain.std() for grain in grains), 0.02, 1).astype(np.float32)


def grey(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)


def pixels(size: tuple[int, int]) -> np.ndarray:
    """Positions of all pixels, (width, height, 2)."""
    return np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1).astype(float)


def turned(degrees: float, middle: tuple[float, float], stretch: float = 1.0) -> np.ndarray:
    """The affine map (2, 3) that turns and stretches around a point."""
    angle = np.deg2rad(degrees)
    linear = stretch * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, middle - linear @ middle])


def shifted(matrix: np.ndarray, x: float, y: float) -> np.ndarray:
    """The affine map (2, 3), followed by a shift."""
    return matrix + np.array([[0, 0, x], [0, 0, y]])


def mapped(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]
