"""Neuropil of the brain."""

from __future__ import annotations

import numpy as np

from .. import organelles as o
from ..canvas import Canvas
from ..mitochondria import MitochondriaStyle
from ..organelles import Palette
from ..styles import log_uniform, random_cells
from ..tissue import draw_cells
from .shared import (
    count_of,
    draw_black_masses,
    draw_cytoplasm,
    draw_mitochondria,
    draw_myelinated_axons,
    draw_soma,
    place_over_share,
    random_grain,
    sometimes,
)

__all__ = ["neuropil"]


def neuropil(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """Brain: processes of neurons and glia, synapses, and sometimes a soma, a vessel or myelin."""
    cells = draw_cells(canvas, rng, random_cells(rng, palette, "neuropil"))
    random_grain(canvas, rng, palette)
    width, height = canvas.extent
    numbers: dict[str, float] = {}
    if rng.random() < 0.12:
        draw_soma(canvas, rng, palette)
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
        axons = draw_myelinated_axons(canvas, rng, palette, int(rng.integers(1, 8)), (200, 900))
        numbers["myelinated"] = len(axons)
    if rng.random() < 0.6:
        numbers["black_masses"] = draw_black_masses(canvas, rng, palette)
    share = log_uniform(rng, 0.04, 0.2)
    mitochondria = place_over_share(canvas, rng, palette, style, share)
    densities = {
        "dense_bodies": sometimes(rng, 0.6, 0.01, 0.15),
        "granules": sometimes(rng, 0.25, 0.02, 0.3),
        "specks": sometimes(rng, 0.6, 0.05, 2),
        "multivesicular": sometimes(rng, 0.4, 0.01, 0.08),
        "vacuoles": sometimes(rng, 0.4, 0.02, 0.4),
        "reticulum": sometimes(rng, 0.9, 0.2, 3),
        "ribosomes_on_reticulum": sometimes(rng, 0.2, 5, 30),
        "microtubules": sometimes(rng, 0.6, 0.05, 0.6),
        "vesicles": sometimes(rng, 0.8, 0.5, 10),
        "ribosomes": sometimes(rng, 0.4, 3, 60),
        "golgi": sometimes(rng, 0.1, 0.01, 0.04),
    }
    draw_cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    synapses = count_of(rng, canvas, sometimes(rng, 0.85, 0.05, 0.6), 24)
    o.draw_synapses(canvas, rng, palette, cells.border, synapses, int(rng.integers(10, 60)), rng.uniform(15, 24))
    room = canvas.room()
    for centre in canvas.places(rng, count_of(rng, canvas, sometimes(rng, 0.6, 0.02, 0.25), 10), 100, room):
        spread, count = rng.uniform(120, 350), int(log_uniform(rng, 15, 400))
        o.vesicle_cloud(canvas, rng, palette, centre, spread, count, rng.uniform(15, 24), room)
    draw_mitochondria(canvas, rng, style, mitochondria)
    return numbers | {"share": share, "synapses": synapses} | densities
