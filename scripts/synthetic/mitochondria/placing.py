"""Shapes of mitochondria, and places for them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..canvas import Canvas, Shape, blob, curve, tube
from .style import MitochondriaStyle

__all__ = ["mitochondrion_shape", "place_mitochondria", "shape_area"]


class _Place(NamedTuple):
    centre: NDArray[np.floating]
    radius: float
    angle: float


def mitochondrion_shape(
    rng: np.random.Generator, style: MitochondriaStyle, centre: NDArray[np.floating], radius: float, angle: float
) -> Shape:
    """Draw the shape of a mitochondrion.

    Args:
        rng: source of randomness.
        style: see `MitochondriaStyle`.
        centre: (x, y) in nm.
        radius: half its width in nm.
        angle: of its longer axis in radians.

    Returns:
        The shape.
    """
    kind = rng.random()
    if kind < style.donut:
        ring = np.linspace(angle, angle + 2 * np.pi * (1 if rng.random() < 0.5 else rng.uniform(0.5, 0.9)), 40)
        size = radius * rng.uniform(1.3, 2.5)
        axis = centre + size * np.stack([np.cos(ring), np.sin(ring) * rng.uniform(0.6, 1)], axis=1)
        return tube(axis, radius * rng.uniform(0.5, 0.8))
    if kind < style.donut + style.long:
        return _long_shape(rng, style, centre, radius * rng.uniform(0.5, 1), angle)
    elongation = 1 + (style.elongation - 1) * rng.lognormal(0, 0.6)
    if elongation < 2.2:
        return blob(rng, centre, radius * np.sqrt(elongation), elongation, angle, style.wobble)
    # a rod, a little bent, with round ends
    length = radius * 2 * (min(elongation, 12) - 1)
    t = np.linspace(-0.5, 0.5, 13)
    bend = rng.normal(0, 0.12) * length
    axis = centre + np.stack([t * length, bend * (4 * t**2 - 0.5)], axis=1) @ _rotation(angle)
    widths = radius * (1 + style.wobble * 2 * np.sin(t * rng.uniform(4, 14) + rng.uniform(0, 6)))
    return tube(axis, widths)


def _rotation(angle: float) -> NDArray[np.floating]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def _long_shape(
    rng: np.random.Generator, style: MitochondriaStyle, centre: NDArray[np.floating], radius: float, angle: float
) -> Shape:
    length = radius * rng.uniform(8, 30)
    forth = curve(rng, centre, angle, length / 2, rng.uniform(4, 20) * radius + 300)
    back = curve(rng, centre, angle + np.pi, length / 2, rng.uniform(4, 20) * radius + 300)
    axis = np.concatenate([back[:0:-1], forth])
    beads = 1 + style.wobble * 2.5 * np.sin(np.arange(len(axis)) * rng.uniform(0.1, 0.5) + rng.uniform(0, 6))
    shape = tube(axis, radius * beads)
    if rng.random() < style.branched:
        for _ in range(rng.integers(1, 3)):
            start = axis[rng.integers(len(axis) // 4, len(axis) * 3 // 4 + 1)]
            branch = curve(
                rng, start, angle + rng.choice([-1, 1]) * rng.uniform(0.6, 1.6), length * rng.uniform(0.2, 0.6), 600
            )
            shape.discs = np.concatenate([shape.discs, tube(branch, radius * rng.uniform(0.7, 1)).discs])
    return shape


def place_mitochondria(
    canvas: Canvas,
    rng: np.random.Generator,
    style: MitochondriaStyle,
    area: float,
    margin: float = 15.0,
    least: float = 70.0,
    where: NDArray[np.float32] | None = None,
) -> list[Shape]:
    """Find places for mitochondria inside cells and take them.

    Args:
        canvas: its room is taken.
        rng: source of randomness.
        style: see `MitochondriaStyle`.
        area: to be filled, in nm^2, as far as there is room.
        margin: kept free around each, in nm.
        least: smallest radius in nm.
        where: on the coarse grid, free room in nm as of `Canvas.room`; that of the canvas by default.

    Returns:
        Their shapes.
    """
    shapes: list[Shape] = []
    filled = 0.0
    expected = np.pi * style.radius**2 * max(1.0, style.elongation) * np.exp(2 * style.spread**2)
    for _ in range(2):
        if filled > 0.85 * area:
            break
        room = canvas.room() if where is None else np.minimum(canvas.room(), where)
        count = int(min(140, 2.4 * (area - filled) / expected + 3))
        centres = canvas.places(rng, count, least * 0.8 + margin, room)
        if not len(centres):
            break
        radii = np.clip(style.radius * rng.lognormal(0, style.spread, len(centres)), least, 1500)
        limit = canvas.room_at(room, centres) - margin
        radii = np.minimum(radii, np.maximum(limit * rng.uniform(0.75, 1.0, len(centres)), least))
        angles = _roomiest(canvas, rng, room, centres, radii)
        for place in map(_Place, centres, radii, angles):
            if filled >= area:
                return shapes
            shape = _fitting(canvas, rng, style, room, place, margin)
            if shape is None:
                continue
            found = [shape]
            if rng.random() < style.clustered:
                found += _beside(canvas, rng, style, shape, place, least, margin)
            shapes += found
            filled += sum(map(shape_area, found))
    return shapes


def _fitting(
    canvas: Canvas,
    rng: np.random.Generator,
    style: MitochondriaStyle,
    room: NDArray[np.float32],
    place: _Place,
    margin: float,
) -> Shape | None:
    """Take room for a mitochondrion as it was drawn, or else for one that follows the process, or for a round one."""
    shape = mitochondrion_shape(rng, style, *place)
    if canvas.claim(shape, margin):
        return shape
    elongation = 1 + (style.elongation - 1) * rng.lognormal(0, 0.6) * (3 if rng.random() < style.long else 1)
    centre, radius, angle = place
    axis = _along_process(canvas, room, place, 2 * radius * (min(elongation, 15) - 1), margin)
    if len(axis) > 2:
        waves = np.sin(np.arange(len(axis)) * rng.uniform(0.2, 0.7) + rng.uniform(0, 6))
        shape = tube(axis, radius * 0.95 * (1 + style.wobble * 2 * waves))
        if canvas.claim(shape, margin):
            return shape
    shape = blob(rng, centre, radius * 0.95, rng.uniform(1, 1.3), angle, style.wobble)
    return shape if canvas.claim(shape, margin) else None


def _along_process(
    canvas: Canvas, room: NDArray[np.float32], place: _Place, length: float, margin: float
) -> NDArray[np.floating]:
    """Axis of a mitochondrion that follows the process that holds it, from its centre both ways."""
    centre, radius, angle = place
    step = 0.5 * radius
    turns = np.array([0.0, -0.1, 0.1, -0.22, 0.22])
    halves = []
    for heading in (angle, angle + np.pi):
        points = [centre]
        for _ in range(int(length / 2 / step)):
            headings = heading + turns
            ahead = points[-1] + step * np.stack([np.cos(headings), np.sin(headings)], axis=1)
            free = np.minimum(canvas.room_at(room, ahead), 1.5 * (radius + margin)) - 0.3 * radius * np.abs(turns)
            best = int(free.argmax())
            if free[best] < radius + margin:
                break
            heading = headings[best]
            points.append(ahead[best])
        halves.append(points)
    forth, back = halves
    return np.array(back[:0:-1] + forth)


def _beside(
    canvas: Canvas,
    rng: np.random.Generator,
    style: MitochondriaStyle,
    shape: Shape,
    place: _Place,
    least: float,
    margin: float,
) -> list[Shape]:
    """Place others close beside a mitochondrion, along with it, as far as there is room."""
    found: list[Shape] = []
    x0, y0, x1, y1 = shape.bounds()
    centre, half = np.array([x0 + x1, y0 + y1]) / 2, np.array([x1 - x0, y1 - y0]) / 2
    for side in np.linspace(0, 2 * np.pi, 7)[: rng.integers(2, 7)] + rng.uniform(0, 2 * np.pi):
        other = max(least, place.radius * rng.uniform(0.6, 1.0))
        direction = np.array([np.cos(side), np.sin(side)])
        towards = centre + direction * (np.abs(direction) @ half + other + margin + rng.uniform(0, 8))
        neighbour = blob(rng, towards, other, rng.uniform(1, 1.4), place.angle, style.wobble)
        if canvas.claim(neighbour, 1.0):
            found.append(neighbour)
    return found


def shape_area(shape: Shape) -> float:
    """Area of a shape in nm^2; of a tube, about."""
    if shape.outlines:
        x, y = shape.outlines[0].T
        return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    steps = np.minimum(np.hypot(*np.diff(shape.discs[:, :2], axis=0).T), shape.discs[1:, 2])
    return float((2 * shape.discs[1:, 2] * steps).sum() + np.pi * shape.discs[0, 2] ** 2)


def _roomiest(
    canvas: Canvas,
    rng: np.random.Generator,
    room: NDArray[np.float32],
    centres: NDArray[np.floating],
    radii: NDArray[np.floating],
) -> NDArray[np.floating]:
    """Angle in which there is most room for each: mitochondria lie along the process that holds them."""
    angles = rng.uniform(0, np.pi, (len(centres), 1)) + np.arange(6) * np.pi / 6
    reach = np.linspace(-4, 4, 9) * radii[:, None]
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    points = centres[:, None, None] + reach[:, None, :, None] * directions[:, :, None]
    free = (canvas.room_at(room, points) > 0.8 * radii[:, None, None]).astype(int)
    middle = 4
    run = np.cumprod(free[:, :, middle:], axis=2).sum(axis=2) + np.cumprod(free[:, :, middle::-1], axis=2).sum(axis=2)
    return angles[np.arange(len(centres)), run.argmax(axis=1)]
