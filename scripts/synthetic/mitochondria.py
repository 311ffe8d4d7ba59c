"""Mitochondria: their shapes, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .canvas import ONE, SHIFT, Canvas, Shape, blob, curve, tube
from .fields import PERIOD, cut
from .mixing import blend, depth_inside

__all__ = ["MitochondriaStyle", "draw_mitochondrion", "mitochondrion_shape", "place_mitochondria"]

Cristae = Literal["none", "transverse", "longitudinal", "tubular", "fingerprint", "labyrinth", "septa"]


@dataclass
class MitochondriaStyle:
    """How the mitochondria of a section look. Lengths in nm, grey levels from 0 to 255, shares from 0 to 1.

    Args:
        radius: median of the radius, or half the width of long ones.
        spread: standard deviation of its logarithm.
        elongation: median of length by width.
        long: share of long, thin ones.
        branched: share of the long ones that branch.
        donut: share of rings (and cups).
        swollen: share of swollen ones: pale, with few cristae at the rim.
        wobble: irregularity of outlines.
        matrix: mean grey level.
        matrix_variation: its standard deviation between mitochondria.
        membrane: grey level of the membranes.
        membrane_width: of each of them.
        intermembrane: width of the space between outer and inner membrane; below 4 they are one line.
        intermembrane_level: its grey level.
        outer_contrast: how dark the outer membrane is: 0 not to be seen, 1 as dark as `membrane`.
        halo: width of a pale rim in the cytoplasm.
        halo_level: its grey level.
        cristae: the kind of cristae of most of them.
        mixed: share that has cristae of any other kind than none.
        fuzzy: share whose border is cut obliquely and is not sharp.
        period: from crista to crista.
        crista_width: of a crista with both of its membranes.
        crista_level: grey level of the membranes of cristae.
        lumen: whether cristae are wide enough to show a lumen: share that does.
        lumen_level: grey level of that lumen.
        irregular: standard deviation of the distance between cristae, as part of the period.
        bend: how much cristae are bent.
        reach: how far cristae reach from one side to the other.
        granules: dark granules of the matrix in a square micrometre.
        grain: strength of the texture of the matrix.
    """

    radius: float
    spread: float
    elongation: float
    long: float
    branched: float
    donut: float
    swollen: float
    wobble: float
    matrix: float
    matrix_variation: float
    membrane: float
    membrane_width: float
    intermembrane: float
    intermembrane_level: float
    outer_contrast: float
    halo: float
    halo_level: float
    cristae: Cristae
    mixed: float
    fuzzy: float
    period: float
    crista_width: float
    crista_level: float
    lumen: float
    lumen_level: float
    irregular: float
    bend: float
    reach: float
    granules: float
    grain: float


KINDS_OF_CRISTAE: tuple[Cristae, ...] = (
    "none",
    "transverse",
    "longitudinal",
    "tubular",
    "fingerprint",
    "labyrinth",
    "septa",
)


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
        for centre, radius, angle in zip(centres, radii, angles, strict=True):
            if filled >= area:
                return shapes
            shape = mitochondrion_shape(rng, style, centre, radius, angle)
            if not canvas.claim(shape, margin):
                # a shorter one may fit
                shape = blob(rng, centre, radius * 0.95, rng.uniform(1, 1.3), angle, style.wobble)
                if not canvas.claim(shape, margin):
                    continue
            shapes.append(shape)
            filled += _area(shape)
    return shapes


def _area(shape: Shape) -> float:
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
    _draw_cristae(canvas, rng, style, shape, content, inside, origin, matrix, swollen)
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


def _draw_cristae(
    canvas: Canvas,
    rng: np.random.Generator,
    style: MitochondriaStyle,
    shape: Shape,
    content: NDArray[np.uint8],
    inside: NDArray[np.uint8],
    origin: tuple[float, float],
    matrix: float,
    swollen: bool,
) -> None:
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
        area = min(_area(shape), (x1 - x0) * (y1 - y0))
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
