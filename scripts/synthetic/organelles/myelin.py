"""Myelin: axons with their sheaths, and its debris."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..canvas import Canvas, Shape
from ..fields import TEXTURE_DEVIATION, cut
from ..mixing import depth_inside, grey_level
from .palette import Palette, Points

__all__ = ["draw_myelin_debris", "draw_myelinated_axon"]


def draw_myelinated_axon(
    canvas: Canvas,
    rng: np.random.Generator,
    palette: Palette,
    outline: Points,
    sheath: float,
    axoplasm: float,
    period: float = 12.0,
    lamellae: float = 0.5,
    split: float = 0.2,
) -> NDArray[np.uint8] | None:
    """Draw an axon with its myelin, outer border given.

    Args:
        canvas: changed in place; the sheath is taken, the axon is free for what follows.
        rng: source of randomness.
        palette: grey levels.
        outline: of the sheath, (points, 2) in nm.
        sheath: its thickness in nm.
        axoplasm: grey level inside.
        period: of the lamellae in nm.
        lamellae: contrast of the lamellae, 0 (even grey) to 1.
        split: probability of a gap between lamellae.

    Returns:
        Mask of the axon on the coarse grid, uint8, or None if it is outside of the section.
    """
    shape = Shape(outlines=[outline], axis=outline.mean(axis=0)[None])
    found = canvas.window(shape, 10)
    if found is None:
        return None
    window, mask = found
    pixel = canvas.pixel
    depth = depth_inside(mask, pixel)
    wave = _wave(rng, 4, mask.shape)
    depth = cv2.scaleAdd(wave, 0.12 * sheath, depth)
    bright = min(palette.outside, palette.myelin + 90)
    # grey levels by depth, in 256 steps
    nm = np.linspace(0, sheath + 60, 256)
    profile = palette.myelin + lamellae * (bright - palette.myelin) * 0.5 * np.cos(nm * 2 * np.pi / period)
    profile[(nm > sheath - 14) & (nm < sheath - 4)] = bright
    profile[nm > sheath] = palette.membrane
    step = cv2.convertScaleAbs(np.maximum(depth, 0), alpha=255 / (sheath + 60))
    content = cv2.LUT(step, np.clip(profile, 2, 253).astype(np.uint8))
    while rng.random() < split:  # a gap along a part of the sheath
        place = rng.uniform(0.15, 0.8) * sheath
        opened = (_wave(rng, 3, mask.shape) - 0.3) * np.float32(rng.uniform(20, 90))
        content[(np.abs(depth - np.float32(place)) < opened) & (depth < sheath)] = grey_level(bright)
        split *= 0.6
    fine = cut("grain", rng, mask.shape, max(1.0, 12 / pixel))
    grain = rng.uniform(0.02, 0.25)
    content = cv2.addWeighted(content, 1.0, fine, grain, -128 * grain)
    plasm = cv2.addWeighted(np.full(mask.shape, grey_level(axoplasm)), 1.0, fine, 0.15, -19)
    cv2.copyTo(plasm, cv2.LUT(step, np.where(nm > sheath + palette.width, 255, 0).astype(np.uint8)), content)
    canvas.paste(window, mask, content)

    inside = np.zeros(canvas.coarse_shape, np.uint8)
    area = canvas.coarse_window(shape)
    if area is None:
        return None
    coarse = np.zeros(inside[area].shape, np.uint8)
    shape.draw(coarse, (area[1].start * canvas.coarse, area[0].start * canvas.coarse), canvas.coarse)
    free = depth_inside(cv2.copyMakeBorder(coarse, 1, 1, 1, 1, cv2.BORDER_REPLICATE), canvas.coarse)[1:-1, 1:-1]
    inside[area] = np.where(free > sheath * 1.15 + 12, 255, 0)
    canvas.taken[area][coarse > 0] = 255
    canvas.covered[area][coarse > 0] = 255
    canvas.taken[area][inside[area] > 0] = 0
    return inside


def draw_myelin_debris(canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape) -> None:
    """Draw myelin that lies crushed or obliquely cut: an even, nearly black mass with a few pale gaps."""
    found = canvas.window(shape, 6)
    if found is None:
        return
    window, mask = found
    level = min(palette.myelin, palette.membrane) * rng.uniform(0.3, 1.0)
    strength = rng.uniform(0.0, 0.3)
    content = np.full(mask.shape, grey_level(level))
    content = cv2.addWeighted(content, 1.0, cut("grain", rng, mask.shape, 15 / canvas.pixel), strength, -128 * strength)
    if rng.random() < 0.6:
        clouds = cut("cloud", rng, mask.shape, rng.uniform(6, 20) / canvas.pixel)
        gaps = clouds > 128 + rng.uniform(1.5, 2.8) * TEXTURE_DEVIATION
        content[gaps & (depth_inside(mask) > 3)] = grey_level(rng.choice([palette.lumen, palette.outside]))
    canvas.paste(window, mask, content)


def _wave(rng: np.random.Generator, nodes: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A slow random wave over a picture, with that many nodes along each side."""
    coarse = rng.standard_normal((nodes, nodes), dtype=np.float32)
    coarse = cv2.resize(coarse, (32, 32), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR)
