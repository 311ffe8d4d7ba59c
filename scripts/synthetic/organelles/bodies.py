"""Round bodies: lysosomes, granules, multivesicular bodies, vacuoles and lipid droplets."""

from __future__ import annotations

import cv2
import numpy as np

from ..canvas import Canvas, Shape
from ..fields import cut
from ..mixing import depth_inside, grey_level
from .membranes import draw_vesicles
from .palette import Palette, jitter

__all__ = ["draw_dense_body", "draw_droplet", "draw_granule", "draw_multivesicular_body", "draw_vacuole"]


def draw_dense_body(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape, level: float | None = None
) -> None:
    """Draw a lysosome or residual body: dark, its content in clumps, grains, whorls or with pale droplets."""
    found = canvas.window(shape, 6)
    if found is None:
        return
    window, mask = found
    pixel = canvas.pixel
    level = jitter(rng, palette.dense, 20) if level is None else level
    content = np.full(mask.shape, grey_level(level))
    style = rng.integers(0, 5)
    if style == 0:
        texture, strength = cut("cloud", rng, mask.shape, 6 / pixel), rng.uniform(0.4, 1.2)
    elif style == 1:
        texture, strength = cut("grain", rng, mask.shape, rng.uniform(10, 25) / pixel), rng.uniform(0.3, 1.0)
    elif style == 2:  # membrane whorls
        texture, strength = cut("labyrinth", rng, mask.shape, rng.uniform(1.2, 2.2) / pixel), rng.uniform(0.5, 1.2)
    else:
        texture, strength = cut("grain", rng, mask.shape, 15 / pixel), 0.1
    content = cv2.addWeighted(content, 1.0, texture, strength, -128 * strength)
    depth = depth_inside(mask)
    rim = (depth < max(1.5, palette.width / pixel)).astype(np.uint8)
    content[rim > 0] = grey_level(min(palette.membrane, level))
    if rng.random() < 0.3:  # a pale halo below the membrane
        ring = (depth >= palette.width / pixel) & (depth < (palette.width + 14) / pixel)
        content[ring] = grey_level(palette.lumen)
    canvas.paste(window, mask, content)
    if style == 4:
        x0, y0, x1, y1 = shape.bounds()
        centre = np.array([x0 + x1, y0 + y1]) / 2
        size = min(x1 - x0, y1 - y0) / 2
        canvas.dots(centre + rng.normal(0, 0.3 * size, (3, 2)), rng.uniform(0.15, 0.4, 3) * size, palette.lipid)


def draw_granule(
    canvas: Canvas,
    rng: np.random.Generator,
    palette: Palette,
    shape: Shape,
    level: float,
    halo: float = 0.0,
    membrane: bool = True,
    texture: float = 0.08,
) -> None:
    """Draw a secretory granule or peroxisome: of even grey without cristae, with or without a halo and a membrane."""
    found = canvas.window(shape, 6)
    if found is None:
        return
    window, mask = found
    pixel = canvas.pixel
    depth = depth_inside(mask)
    grain = cut("grain", rng, mask.shape, max(1.0, rng.uniform(6, 16) / pixel))
    content = cv2.addWeighted(
        np.full(mask.shape, grey_level(np.clip(level, 3, 250))), 1.0, grain, texture, -128 * texture
    )
    wall = palette.width / pixel if membrane else 0.0
    if halo > 0:
        content[depth < wall + halo / pixel] = grey_level(palette.lumen)
    if membrane:
        content[depth < max(1.1, wall)] = grey_level(min(0.7 * palette.membrane + 0.3 * level, level))
    canvas.paste(window, mask, content)


def draw_multivesicular_body(canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape) -> None:
    """Draw a multivesicular body: a pale or grey body with small vesicles in it."""
    level = palette.lumen if rng.random() < 0.5 else jitter(rng, 0.5 * (palette.lumen + palette.protein), 10)
    canvas.fill(shape, level, palette.membrane, palette.width)
    x0, y0, x1, y1 = shape.bounds()
    centre, half = np.array([x0 + x1, y0 + y1]) / 2, np.array([x1 - x0, y1 - y0]) / 2 - 32
    if min(half) < 10:
        return
    count = int(rng.integers(3, 18))
    angle, distance = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count)) * 0.85
    places = centre + half * np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)
    draw_vesicles(canvas, rng, palette, places, rng.uniform(15, 26), rng.choice([0.0, 0.0, 0.3]))


def draw_vacuole(canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape) -> None:
    """Draw an empty vacuole or endosome."""
    canvas.fill(shape, jitter(rng, palette.lumen), palette.membrane, palette.width * rng.uniform(0.8, 2))


def draw_droplet(canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape) -> None:
    """Draw a lipid droplet: of even grey, from white to black, sometimes with a dark rim or extracted in the middle."""
    level = jitter(rng, palette.lipid, 10)
    kind = rng.random()
    if kind < 0.3:  # osmium at the surface
        canvas.fill(shape, level, palette.dense, rng.uniform(8, 45))
    else:
        canvas.fill(shape, level, None if kind < 0.7 else 0.6 * level + 0.4 * palette.membrane, 8)
    if kind > 0.85:
        x0, y0, x1, y1 = shape.bounds()
        canvas.dots(np.array([[x0 + x1, y0 + y1]]) / 2, 0.25 * (x1 - x0), 0.5 * (level + palette.outside))
