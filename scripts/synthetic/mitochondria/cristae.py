"""Cristae of mitochondria."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..canvas import ONE, SHIFT, Canvas, Shape
from ..fields import PERIOD, cut
from ..mixing import blend
from .placing import shape_area
from .style import KINDS_OF_CRISTAE, Cristae, MitochondriaStyle

__all__ = ["draw_cristae"]


def draw_cristae(
    canvas: Canvas,
    rng: np.random.Generator,
    style: MitochondriaStyle,
    shape: Shape,
    content: NDArray[np.uint8],
    inside: NDArray[np.uint8],
    origin: tuple[float, float],
    swollen: bool,
) -> None:
    """Draw cristae into a mitochondrion, of the kind that its style has or of another one.

    Args:
        canvas: for the size of its pixels.
        rng: source of randomness.
        style: see `MitochondriaStyle`.
        shape: the mitochondrion.
        content: its picture in a window, uint8, changed in place.
        inside: uint8 of the same shape, 255 within the inner membrane.
        origin: (x, y) of the window in nm.
        swollen: few, short cristae at the rim.
    """
    kind = style.cristae
    if rng.random() < style.mixed:
        kind = KINDS_OF_CRISTAE[rng.integers(1, len(KINDS_OF_CRISTAE))]  # any but none
    if kind == "none":
        return
    pixel = canvas.pixel
    period = style.period * rng.lognormal(0, 0.2) * (2 if swollen else 1)
    width = min(style.crista_width, 0.55 * period)
    lumen = rng.random() < style.lumen
    level = float(np.clip(style.crista_level + rng.normal(0, 6), 0, 250))
    membranes = np.zeros(content.shape, np.uint8)
    lumens = np.zeros(content.shape, np.uint8) if lumen else None
    if kind in ("fingerprint", "labyrinth"):
        angle = _direction(shape.axis) + np.pi / 2 * (rng.random() < 0.7) + rng.normal(0, 0.2)
        name = "lamellae" if kind == "fingerprint" else "labyrinth"
        texture = cut(name, rng, content.shape, period / PERIOD / pixel, angle)
        duty = np.clip(width / period, 0.15, 0.6)  # part of the area in the lines
        threshold = 128 + 42 * (0.5 - duty) * 2.6
        ramp = np.clip((np.arange(256) - threshold) / 16 + 0.5, 0, 1)
        cv2.LUT(texture, (255 * ramp).astype(np.uint8), dst=membranes)
        if lumens is not None:
            ramp = np.clip((np.arange(256) - threshold - 34) / 14 + 0.5, 0, 1)
            cv2.LUT(texture, (255 * ramp).astype(np.uint8), dst=lumens)
        if style.reach < 0.8:
            holes = cut("cloud", rng, content.shape, 0.8 * period / pixel / 8)
            table = np.where(np.arange(256) > 128 + 60 * (0.45 - style.reach), 255, 0).astype(np.uint8)
            membranes = cv2.min(membranes, cv2.LUT(holes, table))
            if lumens is not None:
                lumens = cv2.min(lumens, membranes)
    else:
        lines = _crista_lines(rng, style, shape, kind, period, swollen)
        if not lines:
            return
        points = [np.rint(((line - origin) / pixel - 0.5) * ONE).astype(np.int32) for line in lines]
        thick = max(1, round(width / pixel))
        strength = int(255 * min(1.0, max(0.35, width / pixel)))
        cv2.polylines(membranes, points, False, strength, thick, cv2.LINE_AA, SHIFT)
        if lumens is not None and thick >= 2:
            cv2.polylines(lumens, points, False, 255, max(1, round(0.45 * width / pixel)), cv2.LINE_AA, SHIFT)
    membranes = cv2.min(membranes, inside)
    blend(content, membranes, level)
    if lumens is not None:
        blend(content, cv2.min(lumens, inside), style.lumen_level)


def _direction(axis: NDArray[np.floating]) -> float:
    if len(axis) < 2:
        return 0.0
    dx, dy = axis[-1] - axis[0]
    return float(np.arctan2(dy, dx))


def _crista_lines(
    rng: np.random.Generator, style: MitochondriaStyle, shape: Shape, kind: Cristae, period: float, swollen: bool
) -> list[NDArray[np.floating]]:
    axis = shape.axis
    x0, y0, x1, y1 = shape.bounds()
    if len(shape.discs):
        half = float(np.median(shape.discs[:, 2]))
    else:
        distance = np.hypot(*(shape.outlines[0] - shape.outlines[0].mean(axis=0)).T)
        half = float(distance.min())
    steps = np.hypot(*np.diff(axis, axis=0).T)
    at = np.concatenate([[0], np.cumsum(steps)])
    length = at[-1]
    if kind == "tubular":
        area = min(shape_area(shape), (x1 - x0) * (y1 - y0))
        count = int(min(120, 0.7 * area / period**2)) + 1
        along = rng.uniform(-0.1, 1.1, count) * length
        centres = _on_axis(axis, at, along) + rng.normal(0, half * 0.6, (count, 2))
        t = np.linspace(-0.5, 0.5, 4)
        size = rng.uniform(0.1, 1.6, count) * period
        angles = rng.uniform(0, 2 * np.pi, count)
        bow = rng.normal(0, style.bend, count) * size
        along, across = size[:, None] * t, bow[:, None] * (t**2 * 4)
        cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
        lines = np.stack([cosine * along - sine * across, sine * along + cosine * across], axis=2)
        return list(centres[:, None] + lines)
    t = np.linspace(-1, 1, 9)
    if kind == "longitudinal":
        count = max(1, int(2 * half / period))
        offsets = (np.arange(count) + 0.5 + rng.normal(0, 0.7 * style.irregular, count)) * period - count * period / 2
        parts = np.linspace(-0.15, 1.15, 17) * length
        middle = _on_axis(axis, at, parts)
        normal = _normals(axis, at, parts)
        lines = []
        for offset in offsets:
            wave = style.bend * 0.35 * period * np.sin(np.linspace(0, rng.uniform(2, 9), 17) + rng.uniform(0, 6))
            first = rng.integers(0, 5) if rng.random() > style.reach else 0
            last = 17 - (rng.integers(0, 7) if rng.random() > style.reach else 0)
            lines.append((middle + normal * (offset + wave)[:, None])[first:last])
        return [line for line in lines if len(line) > 1]
    if kind == "septa":  # few, through the whole width
        period *= 2.5
    reach = length + 2 * half
    count = int(min(90, reach / period)) + 1
    along = (np.arange(count) + rng.uniform(0, 1) + rng.normal(0, style.irregular, count)) * period - half
    middle = _on_axis(axis, at, along)
    normal = _normals(axis, at, along)
    tangent = np.stack([normal[:, 1], -normal[:, 0]], axis=1)
    bow = rng.normal(0, style.bend, (count, 1)) * period * (t**2) + rng.normal(
        0, 0.25 * style.bend, (count, 1)
    ) * period * np.sin(t * 5 + rng.uniform(0, 6, (count, 1)))
    lines = middle[:, None] + normal[:, None] * (t[:, None] * half * 1.25) + tangent[:, None] * bow[:, :, None]
    cutoff = np.where(rng.random(count) < style.reach, 9, rng.integers(2, 8, count))
    if swollen:
        cutoff = rng.integers(2, 5, count)
    side = rng.random(count) < 0.5
    return [line[:n] if s else line[9 - n :] for line, n, s in zip(lines, cutoff.tolist(), side.tolist(), strict=True)]


def _on_axis(axis: NDArray[np.floating], at: NDArray[np.floating], along: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points on a line at given lengths; before and after its ends, straight on."""
    inner = np.clip(along, 0, at[-1])
    points = np.stack([np.interp(inner, at, axis[:, 0]), np.interp(inner, at, axis[:, 1])], axis=1)
    ends = axis[[1, -1]] - axis[[0, -2]]
    ends = ends / np.maximum(np.linalg.norm(ends, axis=1, keepdims=True), 1e-9)
    return points + np.minimum(along, 0)[:, None] * ends[0] + np.maximum(along - at[-1], 0)[:, None] * ends[1]


def _normals(axis: NDArray[np.floating], at: NDArray[np.floating], along: NDArray[np.floating]) -> NDArray[np.floating]:
    step = max(at[-1] / 20, 1.0)
    tangent = _on_axis(axis, at, along + step) - _on_axis(axis, at, along - step)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    return np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
