"""Nuclei, and the outline of large bodies."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..canvas import Canvas, Shape, blob, blob_outline
from ..fields import cut
from ..mixing import blend, depth_inside, grey_level
from .bodies import draw_dense_body
from .palette import Palette

__all__ = ["big_blob", "draw_nucleus"]


def big_blob(
    rng: np.random.Generator, centre: Sequence[float], radius: float, elongation: float, wobble: float
) -> Shape:
    """Make a large body (nucleus, vessel, cell) with an outline of many points."""
    outline = blob_outline(rng, centre, radius, elongation, rng.uniform(0, np.pi), wobble, 160)
    return Shape(outlines=[outline], axis=np.asarray(centre)[None])


def draw_nucleus(
    canvas: Canvas,
    rng: np.random.Generator,
    palette: Palette,
    shape: Shape,
    hetero: float = 0.3,
    nucleoli: int = 1,
    clump: float = 250.0,
) -> None:
    """Draw a nucleus: envelope of two membranes with pores, heterochromatin at the rim and in clumps, nucleoli.

    Args:
        canvas: changed in place.
        rng: source of randomness.
        palette: grey levels.
        shape: its area, with one outline.
        hetero: share of heterochromatin.
        nucleoli: their number.
        clump: size of the clumps in nm.
    """
    found = canvas.window(shape, 30)
    if found is None:
        return
    window, mask = found
    pixel = canvas.pixel
    depth = depth_inside(mask, pixel)
    clumps = cv2.convertScaleAbs(cut("cloud", rng, mask.shape, clump / 30 / pixel), alpha=1.0)
    rim = np.clip(255 - depth * (255 / (clump * 0.8)), 0, 255).astype(np.uint8)
    clumps = cv2.addWeighted(clumps, 1.0, rim, 0.25 + 0.5 * hetero, 0)
    threshold = 128 + 60 * (1 - 2 * hetero)
    soft = rng.uniform(10, 60)
    ramp = np.clip((np.arange(256) - threshold) / soft + 0.5, 0, 1)
    content = np.full(mask.shape, grey_level(palette.nucleoplasm))
    blend(content, cv2.LUT(clumps, (255 * ramp).astype(np.uint8)), palette.chromatin)
    grain = rng.uniform(0.1, 0.5)
    fine = cut("grain", rng, mask.shape, max(1, rng.uniform(8, 18) / pixel))
    content = cv2.addWeighted(content, 1, fine, grain, -128 * grain)
    content = cv2.GaussianBlur(content, (0, 0), max(0.5, 10 / pixel)) if rng.random() < 0.7 else content
    canvas.paste(window, mask, content)

    outline = shape.outlines[0]
    x0, y0, x1, y1 = shape.bounds()
    centre, half = np.array([x0 + x1, y0 + y1]) / 2, np.array([x1 - x0, y1 - y0]) / 2
    for _ in range(nucleoli):
        place = centre + half * rng.uniform(-0.5, 0.5, 2)
        body = blob(rng, place, rng.uniform(0.12, 0.3) * half.min(), rng.uniform(1, 1.5), rng.uniform(0, 3), 0.08)
        draw_dense_body(canvas, rng, palette, body, 0.8 * palette.chromatin)
    # the envelope: a pale line between two dark ones, with gaps at the pores
    lumen = rng.uniform(12, 45)
    canvas.lines([outline], palette.membrane, lumen + 2 * palette.width, closed=True)
    canvas.lines([outline], palette.lumen, lumen, closed=True)
    pores = rng.random(len(outline)) < 0.12
    for i in np.flatnonzero(pores):
        step = (outline[(i + 1) % len(outline)] - outline[i]) * min(1.0, 80 / max(1.0, half.min() / 7))
        canvas.lines([np.stack([outline[i], outline[i] + step])], palette.nucleoplasm, lumen + 2 * palette.width)
