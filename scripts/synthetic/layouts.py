"""Kinds of tissue: which structures there are, how many, and where.

Each layout draws one section on a canvas. Numbers are for a square micrometre where they are densities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from . import organelles as o
from .canvas import Canvas, Shape, blob, blob_outline, curve, tube
from .fields import TEXTURE_DEVIATION, cut, smooth_field
from .mitochondria import MitochondriaStyle, draw_mitochondrion, place_mitochondria
from .mixing import darken, depth_inside, grey_level
from .organelles import Palette
from .styles import log_uniform, random_cells
from .tissue import Cells, draw_cells

__all__ = ["LAYOUTS", "Layout"]

Layout = Callable[[Canvas, np.random.Generator, Palette, MitochondriaStyle], dict[str, float]]


def _count(rng: np.random.Generator, canvas: Canvas, density: float, most: int = 400) -> int:
    """Number of structures of a density in a square micrometre."""
    return min(most, int(rng.poisson(density * canvas.extent[0] * canvas.extent[1] / 1e6)))


def _sometimes(rng: np.random.Generator, probability: float, low: float, high: float) -> float:
    value = log_uniform(rng, low, high)
    return value if rng.random() < probability else 0.0


def _bodies(
    canvas: Canvas,
    rng: np.random.Generator,
    density: float,
    radius: tuple[float, float],
    elongation: float = 1.6,
    margin: float = 12.0,
) -> list[Shape]:
    """Find room for round bodies and take it."""
    count = _count(rng, canvas, density, 200)
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


def _cytoplasm(
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
    for shape in _bodies(canvas, rng, d.get("droplets", 0), (80, 500), 1.2):
        o.draw_droplet(canvas, rng, palette, shape)
    for shape in _bodies(canvas, rng, d.get("dense_bodies", 0), (60, 320), 2.0):
        o.draw_dense_body(canvas, rng, palette, shape)
    level = rng.uniform(palette.dense, palette.protein)
    halo = float(rng.choice([0, 0, rng.uniform(8, 40)]))
    membrane, grain = rng.random() < 0.7, rng.uniform(0, 0.3)
    size = log_uniform(rng, 50, 160)
    for shape in _bodies(canvas, rng, d.get("granules", 0), (size, size * 1.8), 1.5):
        o.draw_granule(canvas, rng, palette, shape, rng.normal(level, 12), halo, membrane, grain)
    for shape in _bodies(canvas, rng, d.get("multivesicular", 0), (90, 260), 1.4):
        o.draw_multivesicular_body(canvas, rng, palette, shape)
    for shape in _bodies(canvas, rng, d.get("vacuoles", 0), (40, 300), 2.0):
        o.draw_vacuole(canvas, rng, palette, shape)
    if d.get("golgi", 0):
        size = rng.uniform(300, 900)
        for centre in canvas.places(rng, _count(rng, canvas, d["golgi"], 12), 0.4 * size):
            o.draw_golgi(canvas, rng, palette, centre, size)
    _reticulum(canvas, rng, palette, d.get("reticulum", 0), d.get("ribosomes_on_reticulum", 0))
    free = canvas.room()
    for centre in canvas.places(rng, _count(rng, canvas, d.get("microtubules", 0), 60), 90, free):
        o.draw_microtubules(canvas, rng, palette, centre, free)
    centres = canvas.places(rng, _count(rng, canvas, d.get("vesicles", 0), 300), 32, free)
    o.draw_vesicles(canvas, rng, palette, centres, rng.uniform(16, 28), rng.uniform(0, 0.2))
    if d.get("ribosomes", 0):
        spots = canvas.places(rng, _count(rng, canvas, d["ribosomes"], 1200), 18, free)
        canvas.dots(spots, 9.0, 0.5 * (palette.membrane + palette.dense))


def _black_masses(canvas: Canvas, rng: np.random.Generator, palette: Palette) -> int:
    """Draw what is larger and blacker than mitochondria: lysosomes full of lipofuscin, and debris of myelin."""
    bodies = _bodies(canvas, rng, _sometimes(rng, 0.6, 0.01, 0.12), (180, 750), 1.8)
    for shape in bodies:
        o.draw_dense_body(canvas, rng, palette, shape, min(palette.dense, palette.membrane) * rng.uniform(0.4, 1.1))
    debris = 0
    for centre in canvas.places(rng, int(rng.integers(0, 4)), 100):
        axis = curve(rng, centre, rng.uniform(0, 2 * np.pi), log_uniform(rng, 300, 4000), rng.uniform(300, 2000))
        nodes = max(2, len(axis) // 8)
        radii = np.interp(np.linspace(0, nodes - 1, len(axis)), np.arange(nodes), rng.lognormal(0, 0.5, nodes))
        shape = tube(axis, np.clip(radii * log_uniform(rng, 80, 450), 40, 900))
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
    for centre in canvas.places(rng, _count(rng, canvas, density, 150), lumen / 2 + 25, room):
        line = curve(rng, centre, rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1) * longest, stiffness)
        line = o.inside_run(canvas, room, line, lumen / 2 + 15)
        if len(line) > 2:
            lines.append(line)
    o.draw_endoplasmic_reticulum(canvas, rng, palette, lines, lumen, ribosomes, filled)
    for line in lines:
        canvas.claim(tube(line[::2], lumen / 2 + 10), overlap=True)


def _mitochondria(
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


def _finish(canvas: Canvas, rng: np.random.Generator, style: MitochondriaStyle, shapes: list[Shape]) -> None:
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


def _random_grain(canvas: Canvas, rng: np.random.Generator, palette: Palette) -> None:
    _grain(canvas, rng, palette, log_uniform(rng, 0.03, 0.3), _sometimes(rng, 0.7, 0.03, 0.18))


# --- neuropil


def neuropil(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """Brain: processes of neurons and glia, synapses, and sometimes a soma, a vessel or myelin."""
    cells = draw_cells(canvas, rng, random_cells(rng, palette, "neuropil"))
    _random_grain(canvas, rng, palette)
    width, height = canvas.extent
    numbers: dict[str, float] = {}
    if rng.random() < 0.12:
        _soma(canvas, rng, palette)
        numbers["soma"] = 1
    if rng.random() < 0.07:
        radius = rng.uniform(800, 3000)
        place = np.array([rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.1, 1.1) * height])
        vessel = o.big_blob(rng, place, radius, rng.uniform(1, 2), 0.04)
        canvas.claim(vessel, 150, overlap=True)
        vessel.draw(canvas.covered, (0, 0), canvas.coarse, 100)
        o.draw_vessel(canvas, rng, palette, vessel, rng.uniform(60, 400), rng.uniform(0, 1))
        numbers["vessel"] = 1
    axons = []
    if rng.random() < 0.35:
        axons = _myelinated(canvas, rng, palette, int(rng.integers(1, 8)), (200, 900))
        numbers["myelinated"] = len(axons)
    if rng.random() < 0.4:
        numbers["black_masses"] = _black_masses(canvas, rng, palette)
    share = log_uniform(rng, 0.03, 0.17)
    mitochondria = _mitochondria(canvas, rng, palette, style, share)
    densities = {
        "dense_bodies": _sometimes(rng, 0.6, 0.01, 0.15),
        "granules": _sometimes(rng, 0.25, 0.02, 0.3),
        "multivesicular": _sometimes(rng, 0.4, 0.01, 0.08),
        "vacuoles": _sometimes(rng, 0.4, 0.02, 0.4),
        "reticulum": _sometimes(rng, 0.9, 0.2, 3),
        "ribosomes_on_reticulum": _sometimes(rng, 0.2, 5, 30),
        "microtubules": _sometimes(rng, 0.6, 0.05, 0.6),
        "vesicles": _sometimes(rng, 0.8, 0.5, 10),
        "ribosomes": _sometimes(rng, 0.4, 3, 60),
        "golgi": _sometimes(rng, 0.1, 0.01, 0.04),
    }
    _cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    synapses = _count(rng, canvas, _sometimes(rng, 0.85, 0.05, 0.6), 24)
    o.draw_synapses(canvas, rng, palette, cells.border, synapses, int(rng.integers(10, 60)), rng.uniform(15, 24))
    room = canvas.room()
    for centre in canvas.places(rng, _count(rng, canvas, _sometimes(rng, 0.6, 0.02, 0.25), 10), 100, room):
        o.vesicle_cloud(
            canvas, rng, palette, centre, rng.uniform(120, 350), int(rng.integers(15, 120)), rng.uniform(15, 24), room
        )
    _finish(canvas, rng, style, mitochondria)
    return numbers | {"share": share, "synapses": synapses} | densities


def _soma(canvas: Canvas, rng: np.random.Generator, palette: Palette) -> None:
    """A cell body with its nucleus, over a part of the section."""
    width, height = canvas.extent
    radius = rng.uniform(2500, 5000)
    angle = rng.uniform(0, 2 * np.pi)
    place = np.array([width, height]) / 2 + rng.uniform(0.5, 1.0) * radius * np.array([np.cos(angle), np.sin(angle)])
    soma = o.big_blob(rng, place, radius, rng.uniform(1, 1.4), 0.04)
    canvas.fill(soma, palette.cytoplasm + rng.normal(0, 8), palette.membrane, palette.width * 1.5)
    # room: nothing of the cells below is left
    inner = Shape(outlines=[place + (soma.outlines[0] - place) * 0.985])
    _clear(canvas, soma, inner)
    nucleus = Shape(outlines=[place + (soma.outlines[0] - place) * rng.uniform(0.6, 0.9) + rng.normal(0, 100, 2)])
    _nucleus(canvas, rng, palette, nucleus)


def _clear(canvas: Canvas, shape: Shape, inner: Shape) -> None:
    """Take the border of a shape and make the room inside of it free."""
    mask = np.zeros(canvas.coarse_shape, np.uint8)
    shape.draw(mask, (0, 0), canvas.coarse, 10)
    canvas.taken[mask > 0] = 255
    canvas.covered[mask > 0] = 255
    mask[:] = 0
    inner.draw(mask, (0, 0), canvas.coarse)
    canvas.taken[mask > 0] = 0
    canvas.grain[mask > 0] = 255


def _nucleus(canvas: Canvas, rng: np.random.Generator, palette: Palette, shape: Shape) -> None:
    canvas.claim(shape, 40, overlap=True)
    shape.draw(canvas.covered, (0, 0), canvas.coarse, 30)
    o.draw_nucleus(
        canvas, rng, palette, shape, rng.uniform(0.05, 0.55), int(rng.integers(0, 3)), log_uniform(rng, 120, 600)
    )


def _myelinated(
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


# --- nerve


def nerve(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """White matter or peripheral nerve: myelinated axons, small ones without myelin, glia and collagen between."""
    field = replace(random_cells(rng, palette, "neuropil"), outside=float(rng.uniform(0, 0.4)))
    draw_cells(canvas, rng, field)
    free = cv2.bitwise_not(canvas.taken)
    if rng.random() < 0.5:
        o.draw_collagen(canvas, rng, palette, cv2.bitwise_not(free), rng.uniform(20, 150))
    largest = log_uniform(rng, 500, 2500)
    count = _count(rng, canvas, rng.uniform(0.3, 3.0), 60) + 3
    axons = _myelinated(canvas, rng, palette, count, (180, largest), rng.uniform(0, 40))
    _random_grain(canvas, rng, palette)
    black = _black_masses(canvas, rng, palette) if rng.random() < 0.3 else 0
    share = log_uniform(rng, 0.015, 0.09)
    mitochondria = _mitochondria(canvas, rng, palette, style, share)
    densities = {
        "microtubules": _sometimes(rng, 0.8, 0.1, 1.0),
        "reticulum": _sometimes(rng, 0.5, 0.05, 0.5),
        "vacuoles": _sometimes(rng, 0.3, 0.02, 0.2),
        "dense_bodies": _sometimes(rng, 0.3, 0.01, 0.06),
        "ribosomes": _sometimes(rng, 0.6, 5, 40),
    }
    _cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    _finish(canvas, rng, style, mitochondria)
    return {"share": share, "myelinated": len(axons), "black_masses": black} | densities


# --- liver and other secretory tissue


def liver(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """Liver, pancreas, kidney and the like: large cells full of round mitochondria and wrapped reticulum."""
    field = replace(random_cells(rng, palette, "liver"), grouped=0.0, outside=0.0 if rng.random() < 0.7 else 0.2)
    numbers: dict[str, float] = {}
    if rng.random() < 0.15:  # membranes folded deep into the cells, as in tubules of the kidney or in glands
        field = replace(
            field,
            spacing=log_uniform(rng, 350, 900),
            grouped=0.3,
            stretch=rng.uniform(2.5, 4.5),
            gap=rng.uniform(6, 25),
        )
        numbers["infolded"] = 1
    draw_cells(canvas, rng, field)
    _random_grain(canvas, rng, palette)
    width, height = canvas.extent
    if rng.random() < 0.35:
        place = np.array([rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.1, 1.1) * height])
        _nucleus(canvas, rng, palette, o.big_blob(rng, place, rng.uniform(2000, 4000), rng.uniform(1, 1.3), 0.03))
        numbers["nucleus"] = 1
    for shape in _bodies(canvas, rng, _sometimes(rng, 0.6, 0.01, 0.15), (150, 900), 1.15):
        o.draw_droplet(canvas, rng, palette, shape)
    share = rng.uniform(0.08, 0.5)
    wrapped = 0.0 if rng.random() < 0.25 else rng.uniform(0.3, 1)
    mitochondria = _mitochondria(canvas, rng, palette, style, share, margin=rng.uniform(12, 90))
    ribosomes = _sometimes(rng, 0.7, 8, 40)
    _wrap(canvas, rng, palette, mitochondria, wrapped, ribosomes)
    if rng.random() < 0.35:
        _parallel_reticulum(canvas, rng, palette, ribosomes)
    densities = {
        "granules": _sometimes(rng, 0.6, 0.05, 1.2),
        "dense_bodies": _sometimes(rng, 0.5, 0.02, 0.2),
        "vacuoles": _sometimes(rng, 0.4, 0.05, 0.5),
        "multivesicular": _sometimes(rng, 0.2, 0.01, 0.05),
        "golgi": _sometimes(rng, 0.3, 0.01, 0.06),
        "reticulum": _sometimes(rng, 0.9, 0.3, 2.5),
        "ribosomes_on_reticulum": ribosomes,
        "vesicles": _sometimes(rng, 0.6, 0.5, 8),
        "ribosomes": _sometimes(rng, 0.5, 5, 40),
    }
    if rng.random() < 0.5:
        patches = cut("cloud", rng, canvas.coarse_shape, 3.0)
        mask = cv2.bitwise_and(
            cv2.threshold(patches, rng.uniform(128, 175), 255, cv2.THRESH_BINARY)[1],
            (canvas.room() > 30).astype(np.uint8),
        )
        o.draw_glycogen(canvas, rng, palette, mask, rng.uniform(20, 180), rng.uniform(9, 24))
        numbers["glycogen"] = 1
    _cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    _finish(canvas, rng, style, mitochondria)
    return numbers | {"share": share, "wrapped": wrapped} | densities


def _wrap(
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


def _parallel_reticulum(canvas: Canvas, rng: np.random.Generator, palette: Palette, ribosomes: float) -> None:
    """A stack of long, parallel cisternae (ergastoplasm)."""
    room = canvas.room()
    spacing, lumen = rng.uniform(70, 160), rng.uniform(12, 40)
    for centre in canvas.places(rng, int(rng.integers(1, 4)), 150, room):
        line = curve(rng, centre, rng.uniform(0, 2 * np.pi), rng.uniform(800, 3500), 2500)
        tangent = np.gradient(line, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        lines = []
        for layer in range(int(rng.integers(3, 9))):
            shifted = o.inside_run(canvas, room, line + normal * layer * spacing, lumen / 2 + 20)
            if len(shifted) > 3:
                lines.append(shifted)
        o.draw_endoplasmic_reticulum(canvas, rng, palette, lines, lumen, ribosomes)
        for shifted in lines:
            canvas.claim(tube(shifted[::2], lumen / 2 + 15), overlap=True)


# --- cultured cells


def cultured_cell(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle
) -> dict[str, float]:
    """Cells in culture: thin, branched mitochondria in large cells with a huge nucleus, empty resin around them."""
    inside = _cell_mask(canvas, rng, rng.uniform(0.45, 1.0))
    cells = _single_cells(canvas, rng, palette, inside)
    _random_grain(canvas, rng, palette)
    numbers: dict[str, float] = {}
    width, height = canvas.extent
    if rng.random() < 0.55:
        place = np.array([rng.uniform(-0.2, 1.2) * width, rng.uniform(-0.2, 1.2) * height])
        if cells.border[_index(canvas, place)] > 300 or rng.random() < 0.3:
            nucleus = o.big_blob(rng, place, rng.uniform(0.25, 0.7) * max(width, 4000), rng.uniform(1, 1.6), 0.06)
            _clip_to(canvas, nucleus, inside)
            _nucleus(canvas, rng, palette, nucleus)
            numbers["nucleus"] = 1
    share = log_uniform(rng, 0.03, 0.2)
    mitochondria = _mitochondria(canvas, rng, palette, style, share)
    densities = {
        "droplets": _sometimes(rng, 0.4, 0.01, 0.1),
        "dense_bodies": _sometimes(rng, 0.6, 0.02, 0.2),
        "granules": _sometimes(rng, 0.3, 0.02, 0.3),
        "multivesicular": _sometimes(rng, 0.4, 0.01, 0.08),
        "vacuoles": _sometimes(rng, 0.7, 0.05, 0.6),
        "golgi": _sometimes(rng, 0.5, 0.01, 0.06),
        "reticulum": _sometimes(rng, 0.95, 0.3, 2.5),
        "ribosomes_on_reticulum": _sometimes(rng, 0.4, 5, 35),
        "microtubules": _sometimes(rng, 0.5, 0.03, 0.3),
        "vesicles": _sometimes(rng, 0.7, 0.3, 5),
        "ribosomes": _sometimes(rng, 0.6, 5, 60),
    }
    _cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    _finish(canvas, rng, style, mitochondria)
    return numbers | {"share": share} | densities


def _index(canvas: Canvas, place: NDArray[np.floating]) -> tuple[int, int]:
    x, y = (place / canvas.coarse).astype(int)
    return int(np.clip(y, 0, canvas.coarse_shape[0] - 1)), int(np.clip(x, 0, canvas.coarse_shape[1] - 1))


def _cell_mask(canvas: Canvas, rng: np.random.Generator, share: float) -> NDArray[np.uint8]:
    """Where there is a cell, on the coarse grid: the section cut by one or two smooth borders."""
    shape = canvas.coarse_shape
    field = smooth_field(rng, shape, max(shape) * rng.uniform(0.35, 0.8)) + 0.06 * smooth_field(rng, shape, 20.0)
    threshold = np.quantile(field[::4, ::4], 1 - share) if share < 0.97 else -np.inf
    return np.where(field > threshold, 255, 0).astype(np.uint8)


def _single_cells(canvas: Canvas, rng: np.random.Generator, palette: Palette, inside: NDArray[np.uint8]) -> Cells:
    field = replace(
        random_cells(rng, palette, "cultured_cell"), grouped=0.0, outside=0.0, warp=10.0, stretch=1.0,
        spacing=log_uniform(rng, 3000, 12000),
    )  # fmt: skip
    cells = draw_cells(canvas, rng, field, within=inside)
    if rng.random() < 0.6:  # filopodia and debris in the resin
        outside = np.where(inside > 0, 0.0, 200.0).astype(np.float32)
        for centre in canvas.places(rng, int(rng.integers(2, 12)), 50, outside):
            shape = blob(rng, centre, rng.uniform(30, 120), rng.uniform(1, 3), rng.uniform(0, 3), 0.08)
            canvas.fill(shape, palette.cytoplasm, palette.membrane, palette.width)
    return cells


def _clip_to(canvas: Canvas, shape: Shape, inside: NDArray[np.uint8]) -> None:
    """Pull the points of an outline back to where there is a cell."""
    outline = shape.outlines[0]
    centre = outline.mean(axis=0)
    distance = depth_inside(inside, canvas.coarse)
    for factor in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
        bad = canvas.room_at(distance, outline) < 150
        beyond = (outline < 0).any(axis=1) | (outline > np.array(canvas.extent)).any(axis=1)
        bad &= ~beyond
        if not bad.any():
            break
        outline = np.where(bad[:, None], centre + (shape.outlines[0] - centre) * factor, outline)
    outline = gaussian_filter1d(outline, 4.0, axis=0, mode="wrap")
    shape.outlines[0] = outline


# --- blood


def blood(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """Platelets in empty resin, now and then an erythrocyte or a white cell: granules that look like mitochondria."""
    canvas.grey[:] = grey_level(palette.outside)
    canvas.taken[:] = 255
    canvas.grain[:] = 30
    width, height = canvas.extent
    angle = rng.uniform(0, np.pi)
    count = max(3, _count(rng, canvas, rng.uniform(0.15, 0.5), 60))
    size = rng.uniform(500, 1100)
    occupied = np.zeros_like(canvas.taken)
    taken = canvas.taken
    platelets = []
    for _ in range(count):
        centre = rng.uniform(-0.1, 1.1, 2) * (width, height)
        radius = size * rng.lognormal(0, 0.25)
        shape = Shape(
            outlines=[blob_outline(rng, centre, radius, rng.uniform(1, 4), angle + rng.normal(0, 0.4), 0.06, 90)]
        )
        canvas.taken = occupied
        free = canvas.claim(shape, 20)
        canvas.taken = taken
        if not free:
            continue
        if rng.random() < 0.08:
            o.draw_erythrocyte(canvas, rng, palette, shape)
            continue
        level = palette.cytoplasm + rng.normal(0, 0.12) * (palette.cytoplasm - palette.membrane)
        canvas.fill(
            shape, np.clip(level, palette.membrane + 25, palette.outside), palette.membrane, palette.width * 1.2
        )
        centre = shape.outlines[0].mean(axis=0)
        _clear(canvas, shape, Shape(outlines=[centre + (shape.outlines[0] - centre) * (1 - 40 / radius)]))
        taken = canvas.taken
        platelets.append(shape)
    _random_grain(canvas, rng, palette)
    share = 0.0 if rng.random() < 0.4 else rng.uniform(0.003, 0.03)
    mitochondria = _mitochondria(canvas, rng, palette, style, share) if share else []
    level = rng.uniform(palette.membrane, palette.protein)
    for shape in _bodies(canvas, rng, rng.uniform(0.3, 3), (80, 200), 1.4, 4):
        o.draw_granule(canvas, rng, palette, shape, rng.normal(level, 10), 0, rng.random() < 0.5, 0.12)
    for shape in _bodies(canvas, rng, rng.uniform(0, 0.15), (60, 130), 1.2):
        o.draw_granule(canvas, rng, palette, shape, palette.dense, rng.uniform(0, 60))
    if rng.random() < 0.6:
        patches = cut("cloud", rng, canvas.coarse_shape, 2.0)
        mask = cv2.bitwise_and(
            cv2.threshold(patches, 185, 255, cv2.THRESH_BINARY)[1], (canvas.room() > 30).astype(np.uint8)
        )
        o.draw_glycogen(canvas, rng, palette, mask, rng.uniform(50, 250), rng.uniform(10, 25))
    densities = {
        "vacuoles": rng.uniform(0.2, 2),
        "reticulum": rng.uniform(0.2, 2.5),
        "vesicles": rng.uniform(0.2, 4),
        "dense_bodies": rng.uniform(0, 0.1),
        "ribosomes": rng.uniform(0, 20),
    }
    _cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    _finish(canvas, rng, style, mitochondria)
    return {"share": share, "platelets": len(platelets)} | densities


# --- muscle


def muscle(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """Heart or skeletal muscle: myofibrils, cut along or across, and rows of large mitochondria between them."""
    along = rng.random() < 0.75
    fibril = log_uniform(rng, 350, 1500)
    # in the heart the rows of mitochondria are as wide as the myofibrils
    row = fibril * rng.uniform(0.7, 1.8) if rng.random() < 0.5 else log_uniform(rng, 180, 1000)
    canvas.grey[:] = grey_level(palette.cytoplasm)
    canvas.grain[:] = 255
    if along:
        mitochondria = _muscle_along(canvas, rng, palette, style, fibril, row)
    else:
        mitochondria = _muscle_across(canvas, rng, palette, style, fibril, row)
    _random_grain(canvas, rng, palette)
    densities = {
        "droplets": _sometimes(rng, 0.5, 0.01, 0.12),
        "dense_bodies": _sometimes(rng, 0.2, 0.01, 0.06),
        "vesicles": _sometimes(rng, 0.6, 0.5, 6),
        "reticulum": _sometimes(rng, 0.5, 0.1, 0.8),
    }
    _cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    if rng.random() < 0.5:
        mask = np.where(canvas.room() > 20, 255, 0).astype(np.uint8)
        o.draw_glycogen(canvas, rng, palette, mask, rng.uniform(10, 120), rng.uniform(8, 18))
    _finish(canvas, rng, style, mitochondria)
    return {"along": float(along), "fibril": fibril, "row": row} | densities


@dataclass
class _Sarcomeres:
    """Myofibrils in coordinates along (u) and across (v) the fibres, which a slow wave bends. Lengths in nm.

    The wave is the same for all fibres, so that what is parallel stays so.
    """

    origin: NDArray[np.floating]
    angle: float
    amplitude: float
    wavelength: float
    phase: float
    length: float
    a_band: float
    h_zone: float
    a_level: float
    i_level: float
    z_level: float
    z_width: float

    @classmethod
    def random(cls, canvas: Canvas, rng: np.random.Generator, palette: Palette) -> _Sarcomeres:
        span = palette.cytoplasm - palette.membrane
        return cls(
            origin=np.array(canvas.extent) / 2,
            angle=rng.uniform(0, np.pi),
            amplitude=rng.uniform(0, 250),
            wavelength=rng.uniform(5000, 15000),
            phase=rng.uniform(0, 6),
            length=rng.uniform(1500, 2600),
            a_band=rng.uniform(0.5, 0.8),
            h_zone=rng.uniform(0, 0.3),
            a_level=palette.cytoplasm - rng.uniform(0.1, 0.5) * span,
            i_level=palette.cytoplasm + rng.uniform(-0.1, 0.3) * (250 - palette.cytoplasm),
            z_level=palette.membrane + rng.uniform(-0.1, 0.25) * span,
            z_width=rng.uniform(40, 110),
        )

    def to_section(self, u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.floating]:
        """Turn u and v into (x, y)."""
        v = v + self.amplitude * np.sin(2 * np.pi * u / self.wavelength + self.phase)
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return self.origin + np.stack([cosine * u - sine * v, sine * u + cosine * v], axis=-1)

    def draw(
        self, canvas: Canvas, rng: np.random.Generator, palette: Palette, v: float, thickness: float, reach: float
    ) -> None:
        """Draw the myofibril from v to v + thickness: I and A bands, H zones, Z and M lines, filaments."""
        edge = np.linspace(-reach, reach, 60)
        wave = 0.05 * thickness * np.sin(edge / 400 + rng.uniform(0, 6))
        self._fill(canvas, (edge, v + wave), (edge, v + thickness + wave), self.i_level)
        across = np.linspace(0.02, 0.98, 6) * thickness + v
        tilt = rng.normal(0, 0.05) * (across - across.mean())
        shift = rng.normal(0, 0.12) * self.length
        for u in np.arange(-reach - self.length, reach + self.length, self.length) + shift:
            for width, level in (
                (self.a_band * self.length, self.a_level),
                (self.h_zone * self.length, 0.6 * self.a_level + 0.4 * self.i_level),
                (40.0 if self.h_zone > 0.05 else 0.0, self.a_level - 12),
            ):
                if width > 30:
                    self._fill(canvas, (u - width / 2 + tilt, across), (u + width / 2 + tilt, across), level)
            line = self.to_section(u + self.length / 2 + tilt + rng.normal(0, 12, 6), across)
            canvas.lines([line], self.z_level, self.z_width * rng.uniform(0.8, 1.2))
        count = max(2, int(thickness / rng.uniform(25, 60)))
        level = 0.7 * self.a_level + 0.3 * palette.membrane
        along = np.linspace(-reach, reach, 40)
        for place in v + thickness * (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count:
            filament = self.to_section(along, place + rng.normal(0, 2, 40))
            canvas.lines([filament], level if rng.random() < 0.8 else self.i_level, 4)

    def _fill(self, canvas: Canvas, left: tuple, right: tuple, level: float) -> None:
        canvas.polygon(np.concatenate([self.to_section(*left), self.to_section(*right)[::-1]]), level)

    def mitochondria(
        self, rng: np.random.Generator, style: MitochondriaStyle, v: float, gap: float, reach: float
    ) -> list[Shape]:
        """Rows of mitochondria that fill the gap from v to v + gap, one after the other, swollen against each other."""
        shapes: list[Shape] = []
        if gap < 150:
            return shapes
        lanes = max(1, round(gap / (2 * style.radius * rng.uniform(0.8, 1.3)))) if gap > 2.2 * style.radius else 1
        width = gap / lanes
        for lane in range(lanes):
            u = -reach + rng.uniform(0, 800)
            while u < reach:
                if rng.random() < 0.06:
                    u += rng.uniform(100, 900)
                    continue
                longest = max(width, 2 * style.radius) * style.elongation**0.7
                length = np.clip(rng.lognormal(0, 0.35) * longest, 0.7 * width, 3 * self.length)
                shapes.append(self._mitochondrion(rng, u + length / 2, v + (lane + 0.5) * width, length, width))
                u += length + (rng.uniform(0, 25) if rng.random() < 0.8 else rng.uniform(25, 300))
        return shapes

    def _mitochondrion(self, rng: np.random.Generator, u: float, v: float, length: float, width: float) -> Shape:
        half_u, half_v = length / 2, width / 2 - rng.uniform(2, 14)
        theta = np.linspace(0, 2 * np.pi, 44, endpoint=False)
        power = rng.uniform(0.45, 0.95)  # below 1: the corners fill the room between neighbours
        along = half_u * np.sign(np.cos(theta)) * np.abs(np.cos(theta)) ** power
        across = half_v * np.sign(np.sin(theta)) * np.abs(np.sin(theta)) ** power
        across *= 1 + 0.08 * np.sin(along / half_u * rng.uniform(1, 4) + rng.uniform(0, 6))
        middle = self.to_section(u + np.linspace(-1, 1, 7) * half_u, np.full(7, v))
        return Shape(outlines=[self.to_section(u + along, v + across)], axis=middle)


def _muscle_along(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle, fibril: float, row: float
) -> list[Shape]:
    """Myofibrils cut along, and rows of mitochondria between them."""
    sarcomeres = _Sarcomeres.random(canvas, rng, palette)
    reach = np.hypot(*canvas.extent) / 2 + 500
    mitochondria: list[Shape] = []
    canvas.taken[:] = 255
    v = -reach
    while v < reach:
        thickness = fibril * rng.lognormal(0, 0.25)
        sarcomeres.draw(canvas, rng, palette, v, thickness, reach)
        v += thickness
        gap = row * rng.lognormal(0, 0.35) if rng.random() < 0.8 else rng.uniform(30, 90)
        mitochondria += sarcomeres.mitochondria(rng, style, v, gap, reach)
        v += gap
    return mitochondria


def _muscle_across(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle, fibril: float, row: float
) -> list[Shape]:
    """Myofibrils cut across: fields of dots, with mitochondria in the room between them."""
    field = replace(
        random_cells(rng, palette, "muscle"), spacing=fibril * 1.2, group=fibril * 4, grouped=0.1, warp=60.0, gap=0.0,
        outside=float(np.clip(row / (row + fibril), 0.1, 0.6)), dark=0.0, outside_level=palette.cytoplasm,
        fuzziness=0.2,
        cytoplasm=palette.cytoplasm - 0.2 * (palette.cytoplasm - palette.membrane),
    )  # fmt: skip
    cells = draw_cells(canvas, rng, field)
    outside = cv2.inRange(cells.colours, (7, 0, 0, 0), (7, 0, 0, 0))
    fibrils = cv2.bitwise_and(cv2.bitwise_not(outside), (cells.border > 20).astype(np.uint8) * 255)
    dots = cut("grain", rng, canvas.shape, max(1.0, 14 / canvas.pixel))
    table = np.clip((np.arange(256) - 128) * 1.5, 0, 255).astype(np.uint8)
    strength = cv2.multiply(cv2.LUT(dots, table), canvas.refine(fibrils), scale=1 / 255)
    darken(canvas.grey, strength, 0.5 * (palette.cytoplasm + palette.membrane))
    canvas.taken = cv2.bitwise_not(outside)
    return place_mitochondria(canvas, rng, style, 0.8 * cv2.countNonZero(outside) * canvas.coarse**2, 4.0, 100.0)


# --- anything


def anything(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """Every parameter free, as no tissue has them together."""
    field = replace(
        random_cells(rng, palette, "neuropil"), spacing=log_uniform(rng, 150, 5000), gap=_sometimes(rng, 0.6, 6, 60),
        outside=_sometimes(rng, 0.5, 0.02, 0.5),
    )  # fmt: skip
    within = _cell_mask(canvas, rng, rng.uniform(0.4, 1)) if rng.random() < 0.3 else None
    cells = draw_cells(canvas, rng, field, within)
    _random_grain(canvas, rng, palette)
    if rng.random() < 0.2:
        _soma(canvas, rng, palette)
    if rng.random() < 0.2:
        _myelinated(canvas, rng, palette, int(rng.integers(1, 6)), (200, 1500))
    if rng.random() < 0.2:
        _black_masses(canvas, rng, palette)
    share = log_uniform(rng, 0.02, 0.5)
    mitochondria = _mitochondria(canvas, rng, palette, style, share, margin=rng.uniform(5, 60))
    if rng.random() < 0.3:
        _wrap(canvas, rng, palette, mitochondria, rng.random(), _sometimes(rng, 0.5, 5, 40))
    densities = {
        name: _sometimes(rng, 0.4, low, high)
        for name, low, high in (
            ("droplets", 0.01, 0.3), ("dense_bodies", 0.01, 0.4), ("granules", 0.02, 1.5),
            ("multivesicular", 0.01, 0.2), ("vacuoles", 0.02, 1), ("golgi", 0.01, 0.1), ("reticulum", 0.1, 3),
            ("ribosomes_on_reticulum", 5, 40), ("microtubules", 0.03, 1), ("vesicles", 0.3, 10), ("ribosomes", 3, 60),
        )
    }  # fmt: skip
    _cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    o.draw_synapses(
        canvas, rng, palette, cells.border, _count(rng, canvas, _sometimes(rng, 0.3, 0.05, 0.5), 20), 30, 20
    )
    if rng.random() < 0.3:
        mask = np.where(canvas.room() > 25, 255, 0).astype(np.uint8)
        o.draw_glycogen(canvas, rng, palette, mask, rng.uniform(5, 100), rng.uniform(8, 25))
    _finish(canvas, rng, style, mitochondria)
    return {"share": share} | densities


LAYOUTS: dict[str, Layout] = {
    "neuropil": neuropil,
    "muscle": muscle,
    "liver": liver,
    "cultured_cell": cultured_cell,
    "blood": blood,
    "nerve": nerve,
    "random": anything,
}
