"""Membranes in the cytoplasm: vesicles, reticulum, Golgi apparatus, synapses; and microtubules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..canvas import Canvas, blob, curve
from ..mixing import darken
from .palette import Palette, Points

__all__ = [
    "draw_endoplasmic_reticulum",
    "draw_golgi",
    "draw_microtubules",
    "draw_synapses",
    "draw_vesicles",
    "inside_run",
    "vesicle_cloud",
]


def draw_vesicles(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, centres: Points, radius: float, dense_core: float = 0.05
) -> None:
    """Draw vesicles: small rings, some of them with a dense core."""
    radii = np.clip(rng.normal(radius, 0.15 * radius, len(centres)), 0.5 * radius, None)
    core = rng.random(len(centres)) < dense_core
    radii[core] *= 1.5
    ring = 0.75 * palette.membrane + 0.25 * palette.cytoplasm
    canvas.dots(centres, radii + palette.width / 2, ring)
    canvas.dots(centres, np.maximum(radii - palette.width / 2, 3), np.where(core, palette.dense, palette.lumen))


def vesicle_cloud(
    canvas: Canvas,
    rng: np.random.Generator,
    palette: Palette,
    centre: Sequence[float],
    spread: float,
    count: int,
    radius: float,
    room: NDArray[np.float32],
) -> None:
    """Draw a cloud of vesicles that stays inside of its cell."""
    centres = np.asarray(centre) + rng.normal(0, spread, (count, 2))
    # straight ways from the middle of the cloud that cross no membrane
    ways = np.asarray(centre) + (centres - centre)[:, None] * np.linspace(0.1, 1, 8)[:, None]
    keep = (canvas.room_at(room, ways) > 8).all(axis=1) & (canvas.room_at(room, centres) > radius + 6)
    draw_vesicles(canvas, rng, palette, centres[keep], radius)


def draw_endoplasmic_reticulum(
    canvas: Canvas,
    rng: np.random.Generator,
    palette: Palette,
    lines: list[Points],
    lumen_width: float = 25.0,
    ribosomes: float = 0.0,
    filled: bool = False,
) -> None:
    """Draw cisternae of reticulum along lines: two membranes, a lumen, ribosomes on both sides.

    Args:
        canvas: changed in place.
        rng: source of randomness.
        palette: grey levels.
        lines: each (points, 2) in nm.
        lumen_width: in nm.
        ribosomes: on a micrometre of each side.
        filled: no lumen to be seen: one dark line.
    """
    membrane = 0.8 * palette.membrane + 0.2 * palette.cytoplasm
    canvas.lines(lines, membrane, lumen_width + palette.width if filled else lumen_width + 2 * palette.width)
    if not filled:
        canvas.lines(lines, palette.lumen, lumen_width)
    if ribosomes > 0:
        dots = []
        for line in lines:
            steps = np.diff(line, axis=0)
            lengths = np.hypot(*steps.T)
            count = rng.poisson(ribosomes * lengths.sum() / 1000 * 2)
            if count and lengths.sum() > 0:
                index = rng.choice(len(steps), count, p=lengths / lengths.sum())
                normal = np.stack([-steps[index, 1], steps[index, 0]], axis=1) / np.maximum(lengths[index, None], 1e-9)
                side = rng.choice([-1, 1], count)[:, None] * (lumen_width / 2 + palette.width + 10)
                dots.append(line[index] + rng.random((count, 1)) * steps[index] + side * normal)
        if dots:
            canvas.dots(np.concatenate(dots), 10.0, palette.dense)


def inside_run(canvas: Canvas, room: NDArray[np.float32], line: Points, gap: float = 12.0) -> Points:
    """Keep the part of a line, from its start, that keeps away from what is taken."""
    bad = np.flatnonzero(canvas.room_at(room, line) < gap)
    return line[: bad[0]] if len(bad) else line


def draw_golgi(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, centre: Sequence[float], size: float
) -> bool:
    """Draw a Golgi apparatus: a stack of bent cisternae with vesicles around it."""
    angle = rng.uniform(0, 2 * np.pi)
    count = int(rng.integers(3, 8))
    spacing = rng.uniform(35, 60)
    if not canvas.claim(blob(rng, centre, size * 0.6, 1.8, angle), 10):
        return False
    t = np.linspace(-0.5, 0.5, 12)
    bow = rng.uniform(-0.5, 0.5)
    cosine, sine = np.cos(angle), np.sin(angle)
    lines, ends = [], []
    for i in range(count):
        length = size * rng.uniform(0.8, 1.3)
        along = t * length + rng.normal(0, 0.05 * size)
        across = (i - count / 2) * spacing + bow * 4 * t**2 * size * 0.4 + rng.normal(0, 3, 12)
        line = np.asarray(centre) + np.stack([cosine * along - sine * across, sine * along + cosine * across], axis=1)
        lines.append(line)
        ends += [line[0], line[-1]]
    draw_endoplasmic_reticulum(canvas, rng, palette, lines, rng.uniform(6, 18), filled=rng.random() < 0.3)
    near = np.array(ends)[rng.integers(0, len(ends), 14)] + rng.normal(0, 45, (14, 2))
    draw_vesicles(canvas, rng, palette, near, 22, 0.1)
    return True


def draw_microtubules(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, centre: Sequence[float], room: NDArray[np.float32]
) -> None:
    """Draw a bundle of microtubules or filaments along a process, or their cross sections as dots."""
    level = 0.5 * (palette.membrane + palette.cytoplasm)
    if rng.random() < 0.5:
        dots = np.asarray(centre) + rng.normal(0, 140, (int(rng.integers(5, 35)), 2))
        dots = dots[canvas.room_at(room, dots) > 20]
        canvas.dots(dots, 11.0, level)
        if canvas.pixel < 4:
            canvas.dots(dots, 5.0, palette.cytoplasm)
        return
    angle = rng.uniform(0, np.pi)
    lines = []
    for _ in range(int(rng.integers(3, 12))):
        start = np.asarray(centre) + rng.normal(0, 90, 2)
        line = inside_run(canvas, room, curve(rng, start, angle + rng.normal(0, 0.05), rng.uniform(300, 1200), 20000))
        if len(line) > 3:
            lines.append(line)
    canvas.lines(lines, level, 10.0)


def draw_synapses(
    canvas: Canvas,
    rng: np.random.Generator,
    palette: Palette,
    border: NDArray[np.float32],
    count: int,
    vesicles: int,
    radius: float,
) -> None:
    """Draw synapses: a thick, fuzzy density on a membrane, and a cloud of vesicles on one side of it.

    Args:
        canvas: changed in place.
        rng: source of randomness.
        palette: grey levels.
        border: distance from the next membrane on the coarse grid, in nm.
        count: number of synapses.
        vesicles: in a cloud, about.
        radius: of vesicles in nm.
    """
    edges = np.flatnonzero((border == 0) & (canvas.covered == 0))
    if not len(edges) or not count:
        return
    room = canvas.room()
    density = np.zeros_like(canvas.taken)
    reach = 16  # pixels of the coarse grid
    rows, columns = border.shape
    for index in edges[rng.integers(0, len(edges), count)]:
        y, x = divmod(int(index), columns)
        window = (slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1))
        near = border[window]
        dy = np.arange(*window[0].indices(rows))[:, None] - y
        dx = np.arange(*window[1].indices(columns))[None] - x
        membrane = (near == 0) & (dx**2 + dy**2 < 49)
        if np.count_nonzero(membrane) < 8:
            continue
        # the membrane runs along the main axis of its pixels
        ys, xs = np.nonzero(membrane)
        spread, axes = np.linalg.eigh(np.cov(xs, ys))
        if spread[1] < 4 * spread[0]:  # a corner
            continue
        normal = axes[:, 0] * rng.choice([-1, 1])
        side = dx * normal[0] + dy * normal[1] > rng.uniform(-3, 0.5)
        half = rng.uniform(60, 200) / canvas.coarse
        thickness = rng.uniform(14, 45)
        strength = np.clip((thickness - near) / 12 + 0.5, 0, 1) * np.clip(half - np.sqrt(dx**2 + dy**2) + 0.5, 0, 1)
        np.maximum(density[window], (255 * rng.uniform(0.6, 1) * strength * side).astype(np.uint8), out=density[window])
        cloud = (np.array([x, y]) + 0.5) * canvas.coarse - normal * rng.uniform(120, 250)
        if canvas.room_at(room, cloud) > 30:
            vesicle_cloud(canvas, rng, palette, cloud, rng.uniform(80, 200), rng.poisson(vesicles), radius, room)
    darken(canvas.grey, canvas.refine(density), 0.6 * palette.membrane + 0.4 * palette.dense)
