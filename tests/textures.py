"""Tissue without any structure but its grain, single and as stacks of deformed sections of which the truth is known."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter

from scripts.phantom import Deformation

SIZE = (256, 240)
MARGIN = 48
REFERENCE = 2
"""This section of a stack is not deformed, so that its frame is that of the truth."""


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


@cache
def changing_texture(z: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Grey texture from 0 to 1, larger than a section by `MARGIN` on each side, that changes slowly with z."""
    rng = np.random.default_rng(0)
    shape = tuple(n + 2 * MARGIN for n in size)
    result = np.zeros(shape)
    for sigma in (1.5, 3.0, 6.0):
        first, second = (gaussian_filter(rng.normal(size=shape), sigma) for _ in range(2))
        field = np.cos(0.25 * z) * first + np.sin(0.25 * z) * second
        result += field / field.std()
    return (0.6 + 0.1 * result / result.std()).clip(0, 1)


@cache
def imaged(index: int, fold: bool = False, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, Deformation]:
    """A section of the tissue, uint8, and how it was deformed."""
    rng = np.random.default_rng([5, index])
    deformation = Deformation.random(size, rng, misalign=index != REFERENCE, fold=fold)
    ideal = changing_texture(index, size)
    image, _ = deformation.apply(ideal, np.zeros(ideal.shape, np.uint8))
    image = image + 0.02 * rng.normal(size=size)
    return np.clip(255 * image, 0, 255).astype(np.uint8), deformation


def truth(
    index: int, fold: bool = False, size: tuple[int, int] = SIZE, whole: tuple[int, int] = SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) of a section that no fold hides, and where they belong in the reference.

    The section may be cut to a `size` smaller than the `whole`.
    """
    points = np.stack(np.meshgrid(*(np.arange(4, n - 4, 4) for n in size), indexing="ij"), axis=-1).reshape(-1, 2)
    deformation = imaged(index, fold, whole)[1]
    points = points[~deformation.fold[tuple(points.T)]]
    return points.astype(float), points + deformation.displacement[:, *points.T].T
