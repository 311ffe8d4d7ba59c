"""Blood vessels and erythrocytes."""

from __future__ import annotations

import cv2
import numpy as np

from ..canvas import Canvas, Shape
from ..fields import cut, smooth_field
from ..mixing import depth_inside, grey_level
from .palette import Palette, jitter

__all__ = ["draw_erythrocyte", "draw_vessel"]


def draw_vessel(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape, wall: float, blood: float
) -> None:
    """Draw a blood vessel: basal lamina, a thin wall of endothelium, and a lumen that is empty or holds plasma.

    Args:
        canvas: changed in place.
        rng: source of randomness.
        palette: grey levels.
        shape: its area, with one outline.
        wall: thickness of the endothelium in nm.
        blood: how dense the plasma is, 0 (empty) to 1 (as dark as protein).
    """
    found = canvas.window(shape, 120)
    if found is None:
        return
    window, mask = found
    pixel = canvas.pixel
    outline = shape.outlines[0]
    canvas.lines([outline], 0.5 * (palette.cytoplasm + palette.membrane), rng.uniform(60, 200), closed=True)
    canvas.lines([outline], palette.membrane, palette.width * 1.5, closed=True)
    depth = depth_inside(mask, pixel)
    thickness = wall * (1 + 0.6 * smooth_field(rng, (8, 8), 3.0)[0, 0])
    level = palette.outside + blood * (palette.protein - palette.outside)
    content = np.full(mask.shape, np.uint8(jitter(rng, palette.cytoplasm, 12)))
    content[depth > thickness] = grey_level(palette.membrane)
    lumen = (depth > thickness + palette.width).astype(np.uint8)
    clots = cut("cloud", rng, mask.shape, rng.uniform(8, 30) / pixel)
    strength = rng.uniform(0, 0.5)
    plasma = cv2.addWeighted(np.full(mask.shape, grey_level(level)), 1.0, clots, strength, -128 * strength)
    cv2.copyTo(plasma, lumen, content)
    canvas.paste(window, mask, content)


def draw_erythrocyte(canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape) -> None:
    """Draw an erythrocyte: large, dark, without structure."""
    canvas.fill(shape, jitter(rng, min(palette.protein, palette.cytoplasm - 20)), palette.membrane, palette.width)
