"""How mitochondria are drawn."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..canvas import ONE, SHIFT, Canvas, Shape
from ..fields import cut
from ..mixing import blend, depth_inside
from .cristae import draw_cristae
from .style import MitochondriaStyle

__all__ = ["draw_mitochondrion"]


def draw_mitochondrion(canvas: Canvas, rng: np.random.Generator, style: MitochondriaStyle, shape: Shape) -> None:
    """Draw a mitochondrion over whatever is there, and its truth.

    Args:
        canvas: changed in place.
        rng: source of randomness.
        style: see `MitochondriaStyle`.
        shape: its area, outer membrane included.
    """
    found = canvas.window(shape, style.halo + 40)
    if found is None:
        return
    window, mask = found
    if not cv2.countNonZero(mask):
        return
    pixel = canvas.pixel
    origin = (window[1].start * pixel, window[0].start * pixel)
    if style.halo > pixel:
        reach = max(1, round(style.halo / pixel))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        canvas.paste(window, cv2.dilate(mask, kernel), style.halo_level)

    swollen = rng.random() < style.swollen
    matrix = rng.normal(style.matrix, style.matrix_variation)
    if swollen:
        matrix += rng.uniform(0.3, 0.9) * (style.halo_level - matrix)
    matrix = float(np.clip(matrix, 8, 240))

    # depth below the surface, in steps small enough for thin membranes
    fine = 8.0 / pixel  # steps a nm are 8 / pixel
    depth = cv2.convertScaleAbs(depth_inside(mask), alpha=8.0)
    nm = np.maximum(np.arange(256) / fine - pixel / 2, 0)
    width, space = style.membrane_width, style.intermembrane
    outer = matrix + style.outer_contrast * (style.membrane - matrix)
    inner = min(style.membrane, matrix)
    profile = np.full(256, matrix)
    wall = 2 * width + space if space >= 4 else 1.4 * width
    if space >= 4:
        profile[nm < wall] = inner
        profile[nm < width + space] = style.intermembrane_level
        profile[nm < width] = outer
    else:
        profile[nm < wall] = outer
    content = cv2.LUT(depth, np.clip(profile, 0, 255).astype(np.uint8))
    inside = cv2.LUT(depth, np.where(nm > wall - width * 0.3, 255, 0).astype(np.uint8))

    if style.grain > 0:
        texture = cut("grain", rng, mask.shape, max(0.8, 8 / pixel))
        content = cv2.addWeighted(content, 1.0, texture, style.grain, -128 * style.grain)
    draw_cristae(canvas, rng, style, shape, content, inside, origin, swollen)
    if style.granules > 0:
        _draw_granules(rng, style, content, inside, pixel, matrix)
    if rng.random() < style.fuzzy:
        soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(3, 22) / pixel)
        target = canvas.grey[window]
        blend(target, soft, content)
    else:
        canvas.paste(window, mask, content)
    label = canvas.label[window]
    cv2.max(label, mask, dst=label)


def _draw_granules(
    rng: np.random.Generator,
    style: MitochondriaStyle,
    content: NDArray[np.uint8],
    inside: NDArray[np.uint8],
    pixel: float,
    matrix: float,
) -> None:
    area = cv2.countNonZero(inside) * pixel**2
    count = min(40, rng.poisson(style.granules * area / 1e6))
    places = np.argwhere(inside)
    if not count or not len(places):
        return
    level = max(5, matrix * rng.uniform(0.2, 0.7))
    for y, x in places[rng.integers(0, len(places), count)].tolist():
        radius = max(ONE // 2, int(rng.uniform(8, 22) / pixel * ONE))
        cv2.circle(content, (x * ONE, y * ONE), radius, level, -1, cv2.LINE_AA, SHIFT)
