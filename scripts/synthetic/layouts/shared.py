"""What kinds of tissue have in common: cytoplasm with all that lies in it, cell bodies, nuclei and myelinated axons.

Numbers are for a square micrometre where they are densities.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import organelles as o
from ..canvas import Canvas, Shape, blob, blob_outline, curve, tube
from ..fields import TEXTURE_DEVIATION, cut, smooth_field
from ..mitochondria import MitochondriaStyle, draw_mitochondrion, place_mitochondria
from ..organelles import Palette
from ..styles import log_uniform

__all__ = [
    "cell_mask",
    "clear_inside",
    "count_of",
    "draw_black_masses",
    "draw_cytoplasm",
    "draw_mitochondria",
    "draw_myelinated_axons",
    "draw_soma",
    "place_bodies",
    "place_over_share",
    "random_grain",
    "random_nucleus",
    "sometimes",
    "wrap_in_reticulum",
]


def count_of(rng: np.random.Generator, canvas: Canvas, density: float, most: int = 400) -> int:
    """Number of structures of a density in a square micrometre."""
    return min(most, int(rng.poisson(density * canvas.extent[0] * canvas.extent[1] / 1e6)))


def sometimes(rng: np.random.Generator, probability: float, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform, with a probability, or else 0."""
    value = log_uniform(rng, low, high)
    return value if rng.random() < probability else 0.0


def place_bodies(
    canvas: Canvas,
    rng: np.random.Generator,
    density: float,
    radius: tuple[float, float],
    elongation: float = 1.6,
    margin: float = 12.0,
) -> list[Shape]:
    """Find room for round bodies and take it."""
    count = count_of(rng, canvas, density, 200)
    places = canvas.places(rng, 2 * count, radius[0] + margin)
    shapes: list[Shape] = []
    for centre in places:
        shape = blob(
            rng,
            centre,
            log_uniform(rng, *radius),
            rng.uniform(1, elongation),
            rng.uniform(0, np.pi),
            rng.uniform(0.01, 0.08),
        )
        if canvas.claim(shape, margin):
            shapes.append(shape)
            if len(shapes) >= count:
                break
    return shapes


def draw_cytoplasm(
    canvas: Canvas,
    rng: np.random.Generator,
    palette: Palette,
    densities: dict[str, float],
    lookalikes: bool = True,
) -> None:
    """Draw all that lies in cytoplasm, small and large, by density of each kind.

    Where mitochondria show no cristae there are no granules of even grey: nothing would tell one from the other.
    """
    d = densities if lookalikes else densities | {"granules": 0.0}
    for shape in place_bodies(canvas, rng, d.get("droplets", 0), (80, 500), 1.2):
        o.draw_droplet(canvas, rng, palette, shape)
    for shape in place_bodies(canvas, rng, d.get("specks", 0), (16, 60), 3.0, 4.0):
        canvas.fill(shape, rng.uniform(palette.dense, palette.membrane + 0.2 * (palette.cytoplasm - palette.membrane)))
    for shape in place_bodies(canvas, rng, d.get("dense_bodies", 0), (60, 320), 2.0):
        o.draw_dense_body(canvas, rng, palette, shape)
    level = rng.uniform(palette.dense, palette.protein)
    halo = float(rng.choice([0, 0, rng.uniform(8, 40)]))
    membrane, grain = rng.random() < 0.7, rng.uniform(0, 0.3)
    size = log_uniform(rng, 50, 160)
    for shape in place_bodies(canvas, rng, d.get("granules", 0), (size, size * 1.8), 1.5):
        o.draw_granule(canvas, rng, palette, shape, rng.normal(level, 12), halo, membrane, grain)
    for shape in place_bodies(canvas, rng, d.get("multivesicular", 0), (90, 260), 1.4):
        o.draw_multivesicular_body(canvas, rng, palette, shape)
    for shape in place_bodies(canvas, rng, d.get("vacuoles", 0), (40, 300), 2.0):
        o.draw_vacuole(canvas, rng, palette, shape)
    if d.get("golgi", 0):
        size = rng.uniform(300, 900)
        for centre in canvas.places(rng, count_of(rng, canvas, d["golgi"], 12), 0.4 * size):
            o.draw_golgi(canvas, rng, palette, centre, size)
    _reticulum(canvas, rng, palette, d.get("reticulum", 0), d.get("ribosomes_on_reticulum", 0))
    free = canvas.room()
    for centre in canvas.places(rng, count_of(rng, canvas, d.get("microtubules", 0), 60), 90, free):
        o.draw_microtubules(canvas, rng, palette, centre, free)
    centres = canvas.places(rng, count_of(rng, canvas, d.get("vesicles", 0), 300), 32, free)
    o.draw_vesicles(canvas, rng, palette, centres, rng.uniform(16, 28), rng.uniform(0, 0.2))
    if d.get("ribosomes", 0):
        spots = canvas.places(rng, count_of(rng, canvas, d["ribosomes"], 1200), 18, free)
        canvas.dots(spots, 9.0, 0.5 * (palette.membrane + palette.dense))


def draw_black_masses(canvas: Canvas, rng: np.random.Generator, palette: Palette) -> int:
    """Draw what is larger and blacker than mitochondria: lysosomes full of lipofuscin, and debris of myelin."""
    bodies = place_bodies(canvas, rng, sometimes(rng, 0.6, 0.01, 0.12), (180, 1000), 1.8)
    for shape in bodies:
        o.draw_dense_body(canvas, rng, palette, shape, min(palette.dense, palette.membrane) * rng.uniform(0.4, 1.1))
    debris = 0
    for centre in canvas.places(rng, int(rng.integers(0, 5)), 100):
        axis = curve(rng, centre, rng.uniform(0, 2 * np.pi), log_uniform(rng, 300, 4000), rng.uniform(300, 2000))
        nodes = max(2, len(axis) // 8)
        radii = np.interp(np.linspace(0, nodes - 1, len(axis)), np.arange(nodes), rng.lognormal(0, 0.5, nodes))
        shape = tube(axis, np.clip(radii * log_uniform(rng, 80, 700), 40, 1200))
        if canvas.claim(shape, 12):
            o.draw_myelin_debris(canvas, rng, palette, shape)
            debris += 1
    return len(bodies) + debris


def _reticulum(canvas: Canvas, rng: np.random.Generator, palette: Palette, density: float, ribosomes: float) -> None:
    if density <= 0:
        return
    room = canvas.room()
    lumen = rng.uniform(8, 45)
    filled = rng.random() < 0.35
    stiffness = log_uniform(rng, 300, 6000)
    longest = log_uniform(rng, 150, 2000)
    lines = []
    for centre in canvas.places(rng, count_of(rng, canvas, density, 150), lumen / 2 + 25, room):
        line = curve(rng, centre, rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1) * longest, stiffness)
        line = o.inside_run(canvas, room, line, lumen / 2 + 15)
        if len(line) > 2:
            lines.append(line)
    o.draw_endoplasmic_reticulum(canvas, rng, palette, lines, lumen, ribosomes, filled)
    for line in lines:
        canvas.claim(tube(line[::2], lumen / 2 + 10), overlap=True)


def wrap_in_reticulum(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, shapes: list[Shape], share: float, ribosomes: float
) -> None:
    """Cisternae of reticulum that follow the outline of mitochondria over a part of it."""
    lines = []
    lumen, distance = rng.uniform(8, 40), rng.uniform(25, 60)
    for shape in shapes:
        if not shape.outlines:
            continue
        outline = shape.outlines[0]
        centre = outline.mean(axis=0)
        offsets = outline - centre
        length = np.linalg.norm(offsets, axis=1, keepdims=True)
        for layer in range(int(rng.integers(1, 3))):
            if rng.random() > share:
                continue
            ring = centre + offsets * (1 + (distance + layer * (lumen + 50)) / length)
            first, count = rng.integers(0, len(ring)), int(rng.uniform(0.25, 0.95) * len(ring))
            lines.append(np.roll(ring, first, axis=0)[:count])
    o.draw_endoplasmic_reticulum(canvas, rng, palette, lines, lumen, ribosomes, filled=rng.random() < 0.2)


def place_over_share(
    canvas: Canvas,
    rng: np.random.Generator,
    palette: Palette,
    style: MitochondriaStyle,
    share: float,
    where: NDArray[np.float32] | None = None,
    margin: float = 15.0,
) -> list[Shape]:
    """Place mitochondria over a share of the free area; they are drawn by the caller, at the end."""
    free = canvas.taken.size - cv2.countNonZero(canvas.taken) if where is None else int(np.count_nonzero(where > 0))
    return place_mitochondria(canvas, rng, style, share * free * canvas.coarse**2, margin, where=where)


def draw_mitochondria(canvas: Canvas, rng: np.random.Generator, style: MitochondriaStyle, shapes: list[Shape]) -> None:
    """Draw mitochondria whose room was taken before, over all that came since."""
    for shape in shapes:
        draw_mitochondrion(canvas, rng, style, shape)


def _grain(canvas: Canvas, rng: np.random.Generator, palette: Palette, fine: float, coarse: float) -> None:
    """Lay the granular texture of cytoplasm over the canvas: dark specks more than pale ones."""
    strength = canvas.refine(canvas.grain)
    span = palette.cytoplasm - palette.membrane
    skew = rng.uniform(0, 0.9)
    z = (np.arange(256) - 128) / TEXTURE_DEVIATION
    darkness = np.maximum(-z, 0) - (1 - skew) * np.maximum(z, 0)  # below 0: brighter

    def table(amount: float) -> NDArray[np.uint8]:
        return np.clip(darkness * amount * span, 0, 255).astype(np.uint8)

    speck = cut("grain", rng, canvas.shape, max(0.75, log_uniform(rng, 5, 20) / canvas.pixel))
    if rng.random() < 0.5:  # of two sizes
        larger = cut("grain", rng, canvas.shape, max(1.0, log_uniform(rng, 14, 35) / canvas.pixel))
        speck = cv2.addWeighted(speck, 0.7, larger, 0.7, -0.4 * 128)
    cv2.subtract(canvas.grey, cv2.multiply(cv2.LUT(speck, table(fine)), strength, scale=1 / 255), dst=canvas.grey)
    if skew < 0.85:
        cv2.add(canvas.grey, cv2.multiply(cv2.LUT(speck, table(-fine)), strength, scale=1 / 255), dst=canvas.grey)
    if coarse > 0.02:
        clouds = cv2.LUT(cut("cloud", rng, canvas.coarse_shape, rng.uniform(0.6, 2.0)), table(coarse))
        clouds = cv2.multiply(clouds, canvas.grain, scale=1 / 255)
        cv2.subtract(canvas.grey, canvas.refine(clouds), dst=canvas.grey)


def random_grain(canvas: Canvas, rng: np.random.Generator, palette: Palette) -> None:
    """Lay a granular texture of random strength over the cytoplasm."""
    _grain(canvas, rng, palette, log_uniform(rng, 0.03, 0.3), sometimes(rng, 0.7, 0.03, 0.18))


def draw_soma(canvas: Canvas, rng: np.random.Generator, palette: Palette) -> None:
    """A cell body with its nucleus, over a part of the section."""
    width, height = canvas.extent
    radius = rng.uniform(2500, 5000)
    angle = rng.uniform(0, 2 * np.pi)
    place = np.array([width, height]) / 2 + rng.uniform(0.5, 1.0) * radius * np.array([np.cos(angle), np.sin(angle)])
    soma = o.big_blob(rng, place, radius, rng.uniform(1, 1.4), 0.04)
    canvas.fill(soma, palette.cytoplasm + rng.normal(0, 8), palette.membrane, palette.width * 1.5)
    # room: nothing of the cells below is left
    inner = Shape(outlines=[place + (soma.outlines[0] - place) * 0.985])
    clear_inside(canvas, soma, inner)
    nucleus = Shape(outlines=[place + (soma.outlines[0] - place) * rng.uniform(0.6, 0.9) + rng.normal(0, 100, 2)])
    random_nucleus(canvas, rng, palette, nucleus)


def clear_inside(canvas: Canvas, shape: Shape, inner: Shape) -> None:
    """Take the border of a shape and make the room inside of it free."""
    mask = np.zeros(canvas.coarse_shape, np.uint8)
    shape.draw(mask, (0, 0), canvas.coarse, 10)
    canvas.taken[mask > 0] = 255
    canvas.covered[mask > 0] = 255
    mask[:] = 0
    inner.draw(mask, (0, 0), canvas.coarse)
    canvas.taken[mask > 0] = 0
    canvas.grain[mask > 0] = 255


def random_nucleus(canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape) -> None:
    """Draw a nucleus with random chromatin over what is there, and take its room."""
    canvas.claim(shape, 40, overlap=True)
    shape.draw(canvas.covered, (0, 0), canvas.coarse, 30)
    o.draw_nucleus(
        canvas, rng, palette, shape, rng.uniform(0.05, 0.55), int(rng.integers(0, 3)), log_uniform(rng, 120, 600)
    )


def draw_myelinated_axons(
    canvas: Canvas,
    rng: np.random.Generator,
    palette: Palette,
    count: int,
    radii: tuple[float, float],
    margin: float = 10.0,
) -> list[NDArray[np.uint8]]:
    """Myelinated axons, not overlapping, over what is there; room for mitochondria stays inside of them."""
    occupied = canvas.covered.copy()  # no axon lies over a cell body or a vessel
    period, lamellae, split = (
        rng.uniform(9, 18),
        float(rng.choice([0.0, 0.0, rng.uniform(0.2, 1)])),
        rng.uniform(0, 0.5),
    )
    ratio = rng.uniform(0.5, 0.9)
    elongation = rng.uniform(1, 2.2)
    axons = []
    real_taken = canvas.taken
    width, height = canvas.extent
    for _ in range(count):
        radius = log_uniform(rng, *radii)
        for _ in range(8):
            radius = max(radii[0], 0.88 * radius)
            centre = rng.uniform(-0.05, 1.05, 2) * (width, height)
            outline = blob_outline(
                rng, centre, radius, rng.uniform(1, elongation), rng.uniform(0, np.pi), rng.uniform(0.01, 0.06), 72
            )
            shape = Shape(outlines=[outline])
            canvas.taken = occupied
            free = canvas.claim(shape, margin)
            canvas.taken = real_taken
            if free:
                break
        else:
            continue
        sheath = float(np.clip(radius * (1 - np.clip(rng.normal(ratio, 0.06), 0.4, 0.93)), 35, 900))
        axoplasm = palette.cytoplasm + rng.uniform(-0.1, 0.6) * (245 - palette.cytoplasm)
        inside = o.draw_myelinated_axon(canvas, rng, palette, outline, sheath, axoplasm, period, lamellae, split)
        real_taken = canvas.taken
        if inside is not None:
            axons.append(inside)
    return axons


def cell_mask(canvas: Canvas, rng: np.random.Generator, share: float) -> NDArray[np.uint8]:
    """Where there is a cell, on the coarse grid: the section cut by one or two smooth borders."""
    shape = canvas.coarse_shape
    field = smooth_field(rng, shape, max(shape) * rng.uniform(0.35, 0.8)) + 0.06 * smooth_field(rng, shape, 20.0)
    threshold = np.quantile(field[::4, ::4], 1 - share) if share < 0.97 else -np.inf
    return np.where(field > threshold, 255, 0).astype(np.uint8)
