"""All that is in cells and is no mitochondrion: what a network has to learn to leave alone.

Each function draws one kind of structure over the canvas. Lengths are in nm, grey levels from 0 to 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .canvas import COARSE, Canvas, Shape, blob, blob_outline, curve
from .fields import TEXTURE_DEVIATION, cut, smooth_field
from .mixing import blend, darken, depth_inside, grey_level

__all__ = [
    "Palette",
    "draw_collagen",
    "draw_dense_body",
    "draw_droplet",
    "draw_endoplasmic_reticulum",
    "draw_erythrocyte",
    "draw_glycogen",
    "draw_golgi",
    "draw_granule",
    "draw_microtubules",
    "draw_multivesicular_body",
    "draw_myelin_debris",
    "draw_myelinated_axon",
    "draw_nucleus",
    "draw_synapses",
    "draw_vacuole",
    "draw_vesicles",
    "draw_vessel",
]

Points = NDArray[np.floating]


@dataclass
class Palette:
    """Grey levels of a section, from 0 (black) to 255 (white): how it took the stain.

    Args:
        outside: empty resin and extracellular space.
        cytoplasm: mean of the cytoplasm.
        membrane: of membranes, darker than the cytoplasm.
        width: of membranes, in nm.
        lumen: inside of reticulum, vesicles and vacuoles.
        protein: of dense protein: granules, peroxisomes, erythrocytes.
        dense: of what takes most stain: ribosomes, glycogen, dense bodies.
        lipid: of lipid droplets.
        chromatin: of heterochromatin.
        nucleoplasm: of euchromatin.
        myelin: of myelin.
    """

    outside: float
    cytoplasm: float
    membrane: float
    width: float
    lumen: float
    protein: float
    dense: float
    lipid: float
    chromatin: float
    nucleoplasm: float
    myelin: float


def _jitter(rng: np.random.Generator, level: float, deviation: float = 8.0) -> float:
    return float(np.clip(rng.normal(level, deviation), 2, 253))


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


def draw_dense_body(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape, level: float | None = None
) -> None:
    """Draw a lysosome or residual body: dark, its content in clumps, grains, whorls or with pale droplets."""
    found = canvas.window(shape, 6)
    if found is None:
        return
    window, mask = found
    pixel = canvas.pixel
    level = _jitter(rng, palette.dense, 20) if level is None else level
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
    level = palette.lumen if rng.random() < 0.5 else _jitter(rng, 0.5 * (palette.lumen + palette.protein), 10)
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
    canvas.fill(shape, _jitter(rng, palette.lumen), palette.membrane, palette.width * rng.uniform(0.8, 2))


def draw_droplet(canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape) -> None:
    """Draw a lipid droplet: of even grey, from white to black, sometimes with a dark rim or extracted in the middle."""
    level = _jitter(rng, palette.lipid, 10)
    kind = rng.random()
    if kind < 0.3:  # osmium at the surface
        canvas.fill(shape, level, palette.dense, rng.uniform(8, 45))
    else:
        canvas.fill(shape, level, None if kind < 0.7 else 0.6 * level + 0.4 * palette.membrane, 8)
    if kind > 0.85:
        x0, y0, x1, y1 = shape.bounds()
        canvas.dots(np.array([[x0 + x1, y0 + y1]]) / 2, 0.25 * (x1 - x0), 0.5 * (level + palette.outside))


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
    free = np.flatnonzero(mask)
    if not len(free):
        return
    count = min(900, rng.poisson(density * len(free) * COARSE**2 / 1e6))
    y, x = np.divmod(free[rng.integers(0, len(free), count)], canvas.coarse_shape[1])
    centres = (np.stack([x, y], axis=1) + rng.random((count, 2))) * canvas.coarse
    canvas.dots(centres, radius * rng.uniform(0.6, 1.4, count), np.clip(rng.normal(palette.dense, 15, count), 3, 200))


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


def big_blob(
    rng: np.random.Generator, centre: Sequence[float], radius: float, elongation: float, wobble: float
) -> Shape:
    """Make a large body (nucleus, vessel, cell) with an outline of many points."""
    outline = blob_outline(rng, centre, radius, elongation, rng.uniform(0, np.pi), wobble, 160)
    return Shape(outlines=[outline], axis=np.asarray(centre)[None])


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
    content = np.full(mask.shape, np.uint8(_jitter(rng, palette.cytoplasm, 12)))
    content[depth > thickness] = grey_level(palette.membrane)
    lumen = (depth > thickness + palette.width).astype(np.uint8)
    clots = cut("cloud", rng, mask.shape, rng.uniform(8, 30) / pixel)
    strength = rng.uniform(0, 0.5)
    plasma = cv2.addWeighted(np.full(mask.shape, grey_level(level)), 1.0, clots, strength, -128 * strength)
    cv2.copyTo(plasma, lumen, content)
    canvas.paste(window, mask, content)


def draw_erythrocyte(canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape) -> None:
    """Draw an erythrocyte: large, dark, without structure."""
    canvas.fill(shape, _jitter(rng, min(palette.protein, palette.cytoplasm - 20)), palette.membrane, palette.width)


def draw_collagen(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, mask: NDArray[np.uint8], density: float
) -> None:
    """Draw collagen fibrils, cut across, in extracellular space: grey dots of one size where the mask is not 0."""
    free = np.flatnonzero(mask)
    if not len(free):
        return
    count = min(700, rng.poisson(density * len(free) * COARSE**2 / 1e6))
    y, x = np.divmod(free[rng.integers(0, len(free), count)], canvas.coarse_shape[1])
    centres = (np.stack([x, y], axis=1) + rng.random((count, 2))) * canvas.coarse
    canvas.dots(centres, rng.uniform(14, 30), 0.5 * (palette.outside + palette.cytoplasm) - 25)


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
    step = cv2.convertScaleAbs(cv2.max(depth, (0, 0, 0, 0)), alpha=255 / (sheath + 60))
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
