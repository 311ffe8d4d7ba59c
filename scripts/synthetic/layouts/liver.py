"""Liver and other secretory tissue."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from .. import organelles as o
from ..canvas import Canvas, curve, tube
from ..fields import cut
from ..mitochondria import MitochondriaStyle
from ..organelles import Palette
from ..styles import log_uniform, random_cells
from ..tissue import draw_cells
from .shared import (
    draw_cytoplasm,
    draw_mitochondria,
    place_bodies,
    place_over_share,
    random_grain,
    random_nucleus,
    sometimes,
    wrap_in_reticulum,
)

__all__ = ["liver"]


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
    random_grain(canvas, rng, palette)
    width, height = canvas.extent
    if rng.random() < 0.35:
        place = np.array([rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.1, 1.1) * height])
        random_nucleus(canvas, rng, palette, o.big_blob(rng, place, rng.uniform(2000, 4000), rng.uniform(1, 1.3), 0.03))
        numbers["nucleus"] = 1
    for shape in place_bodies(canvas, rng, sometimes(rng, 0.6, 0.01, 0.15), (150, 900), 1.15):
        o.draw_droplet(canvas, rng, palette, shape)
    share = rng.uniform(0.08, 0.5)
    wrapped = 0.0 if rng.random() < 0.25 else rng.uniform(0.3, 1)
    mitochondria = place_over_share(canvas, rng, palette, style, share, margin=rng.uniform(12, 90))
    ribosomes = sometimes(rng, 0.7, 8, 40)
    wrap_in_reticulum(canvas, rng, palette, mitochondria, wrapped, ribosomes)
    if rng.random() < 0.35:
        _parallel_reticulum(canvas, rng, palette, ribosomes)
    densities = {
        "granules": sometimes(rng, 0.6, 0.05, 1.2),
        "dense_bodies": sometimes(rng, 0.5, 0.02, 0.2),
        "vacuoles": sometimes(rng, 0.4, 0.05, 0.5),
        "multivesicular": sometimes(rng, 0.2, 0.01, 0.05),
        "golgi": sometimes(rng, 0.3, 0.01, 0.06),
        "reticulum": sometimes(rng, 0.9, 0.3, 2.5),
        "ribosomes_on_reticulum": ribosomes,
        "vesicles": sometimes(rng, 0.6, 0.5, 8),
        "ribosomes": sometimes(rng, 0.5, 5, 40),
    }
    if rng.random() < 0.5:
        patches = cut("cloud", rng, canvas.coarse_shape, 3.0)
        mask = cv2.bitwise_and(
            cv2.threshold(patches, rng.uniform(128, 175), 255, cv2.THRESH_BINARY)[1],
            (canvas.room() > 30).astype(np.uint8),
        )
        o.draw_glycogen(canvas, rng, palette, mask, rng.uniform(20, 180), rng.uniform(9, 24))
        numbers["glycogen"] = 1
    draw_cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    draw_mitochondria(canvas, rng, style, mitochondria)
    return numbers | {"share": share, "wrapped": wrapped} | densities


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
