"""Dots over an area: glycogen in cells and collagen between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..canvas import COARSE, Canvas
from .palette import Palette

__all__ = ["draw_collagen", "draw_glycogen"]


def draw_glycogen(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, mask: NDArray[np.uint8], density: float, radius: float
) -> None:
    """Draw glycogen: dark grains, alone or in rosettes, where the mask on the coarse grid is not 0.

    Args:
        canvas: changed in place.
        rng: source of randomness.
        palette: grey levels.
        mask: uint8 on the coarse grid.
        density: grains in a square micrometre.
        radius: of a grain in nm.
    """
    if not mask.any():
        return
    centres = _scattered(canvas, rng, mask, density, 900)
    count = len(centres)
    canvas.dots(centres, radius * rng.uniform(0.6, 1.4, count), np.clip(rng.normal(palette.dense, 15, count), 3, 200))


def draw_collagen(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, mask: NDArray[np.uint8], density: float
) -> None:
    """Draw collagen fibrils, cut across, in extracellular space: grey dots of one size where the mask is not 0."""
    if mask.any():
        centres = _scattered(canvas, rng, mask, density, 700)
        canvas.dots(centres, rng.uniform(14, 30), 0.5 * (palette.outside + palette.cytoplasm) - 25)


def _scattered(
    canvas: Canvas, rng: np.random.Generator, mask: NDArray[np.uint8], density: float, most: int
) -> NDArray[np.floating]:
    """Random points, so many in a square micrometre, where a mask on the coarse grid is not 0, as it is somewhere."""
    free = np.flatnonzero(mask)
    count = min(most, rng.poisson(density * len(free) * COARSE**2 / 1e6))
    y, x = np.divmod(free[rng.integers(0, len(free), count)], canvas.coarse_shape[1])
    return (np.stack([x, y], axis=1) + rng.random((count, 2))) * canvas.coarse
