"""White matter and peripheral nerve."""

from __future__ import annotations

from dataclasses import replace

import cv2
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
    place_over_share,
    random_grain,
    sometimes,
)

__all__ = ["nerve"]


def nerve(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """White matter or peripheral nerve: myelinated axons, small ones without myelin, glia and collagen between."""
    field = replace(random_cells(rng, palette, "neuropil"), outside=float(rng.uniform(0, 0.4)))
    draw_cells(canvas, rng, field)
    free = cv2.bitwise_not(canvas.taken)
    if rng.random() < 0.5:
        o.draw_collagen(canvas, rng, palette, cv2.bitwise_not(free), rng.uniform(20, 150))
    largest = log_uniform(rng, 500, 2500)
    count = count_of(rng, canvas, rng.uniform(0.3, 3.0), 60) + 3
    axons = draw_myelinated_axons(canvas, rng, palette, count, (180, largest), rng.uniform(0, 40))
    random_grain(canvas, rng, palette)
    black = draw_black_masses(canvas, rng, palette) if rng.random() < 0.3 else 0
    share = log_uniform(rng, 0.015, 0.09)
    mitochondria = place_over_share(canvas, rng, palette, style, share)
    densities = {
        "microtubules": sometimes(rng, 0.8, 0.1, 1.0),
        "reticulum": sometimes(rng, 0.5, 0.05, 0.5),
        "vacuoles": sometimes(rng, 0.3, 0.02, 0.2),
        "dense_bodies": sometimes(rng, 0.3, 0.01, 0.06),
        "ribosomes": sometimes(rng, 0.6, 5, 40),
    }
    draw_cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    draw_mitochondria(canvas, rng, style, mitochondria)
    return {"share": share, "myelinated": len(axons), "black_masses": black} | densities
