"""A mixture that no tissue has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import organelles as o
from ..canvas import Canvas
from ..mitochondria import MitochondriaStyle
from ..organelles import Palette
from ..styles import log_uniform, random_cells
from ..tissue import draw_cells
from .shared import (
    cell_mask,
    count_of,
    draw_black_masses,
    draw_cytoplasm,
    draw_mitochondria,
    draw_myelinated_axons,
    draw_soma,
    place_over_share,
    random_grain,
    sometimes,
    wrap_in_reticulum,
)

__all__ = ["anything"]


def anything(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """Every parameter free, as no tissue has them together."""
    field = replace(
        random_cells(rng, palette, "neuropil"), spacing=log_uniform(rng, 150, 5000), gap=sometimes(rng, 0.6, 6, 60),
        outside=sometimes(rng, 0.5, 0.02, 0.5),
    )  # fmt: skip
    within = cell_mask(canvas, rng, rng.uniform(0.4, 1)) if rng.random() < 0.3 else None
    cells = draw_cells(canvas, rng, field, within)
    random_grain(canvas, rng, palette)
    if rng.random() < 0.2:
        draw_soma(canvas, rng, palette)
    if rng.random() < 0.2:
        draw_myelinated_axons(canvas, rng, palette, int(rng.integers(1, 6)), (200, 1500))
    if rng.random() < 0.2:
        draw_black_masses(canvas, rng, palette)
    share = log_uniform(rng, 0.02, 0.5)
    mitochondria = place_over_share(canvas, rng, palette, style, share, margin=rng.uniform(5, 60))
    if rng.random() < 0.3:
        wrap_in_reticulum(canvas, rng, palette, mitochondria, rng.random(), sometimes(rng, 0.5, 5, 40))
    densities = {
        name: sometimes(rng, 0.4, low, high)
        for name, low, high in (
            ("droplets", 0.01, 0.3), ("dense_bodies", 0.01, 0.4), ("granules", 0.02, 1.5),
            ("multivesicular", 0.01, 0.2), ("vacuoles", 0.02, 1), ("golgi", 0.01, 0.1), ("reticulum", 0.1, 3),
            ("ribosomes_on_reticulum", 5, 40), ("microtubules", 0.03, 1), ("vesicles", 0.3, 10), ("ribosomes", 3, 60),
        )
    }  # fmt: skip
    draw_cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    o.draw_synapses(
        canvas, rng, palette, cells.border, count_of(rng, canvas, sometimes(rng, 0.3, 0.05, 0.5), 20), 30, 20
    )
    if rng.random() < 0.3:
        mask = np.where(canvas.room() > 25, 255, 0).astype(np.uint8)
        o.draw_glycogen(canvas, rng, palette, mask, rng.uniform(5, 100), rng.uniform(8, 25))
    draw_mitochondria(canvas, rng, style, mitochondria)
    return {"share": share} | densities
