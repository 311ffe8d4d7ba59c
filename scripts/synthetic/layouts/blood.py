"""Blood."""

from __future__ import annotations

import cv2
import numpy as np

from .. import organelles as o
from ..canvas import Canvas, Shape, blob_outline
from ..fields import cut
from ..mitochondria import MitochondriaStyle
from ..mixing import grey_level
from ..organelles import Palette
from .shared import (
    clear_inside,
    count_of,
    draw_cytoplasm,
    draw_mitochondria,
    place_bodies,
    place_over_share,
    random_grain,
)

__all__ = ["blood"]


def blood(canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle) -> dict[str, float]:
    """Platelets in empty resin, now and then an erythrocyte or a white cell: granules that look like mitochondria."""
    canvas.grey[:] = grey_level(palette.outside)
    canvas.taken[:] = 255
    canvas.grain[:] = 30
    width, height = canvas.extent
    angle = rng.uniform(0, np.pi)
    count = max(3, count_of(rng, canvas, rng.uniform(0.15, 0.5), 60))
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
        clear_inside(canvas, shape, Shape(outlines=[centre + (shape.outlines[0] - centre) * (1 - 40 / radius)]))
        taken = canvas.taken
        platelets.append(shape)
    random_grain(canvas, rng, palette)
    share = 0.0 if rng.random() < 0.4 else rng.uniform(0.003, 0.03)
    mitochondria = place_over_share(canvas, rng, palette, style, share) if share else []
    level = rng.uniform(palette.membrane, palette.protein)
    for shape in place_bodies(canvas, rng, rng.uniform(0.3, 3), (80, 200), 1.4, 4):
        o.draw_granule(canvas, rng, palette, shape, rng.normal(level, 10), 0, rng.random() < 0.5, 0.12)
    for shape in place_bodies(canvas, rng, rng.uniform(0, 0.15), (60, 130), 1.2):
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
    draw_cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    draw_mitochondria(canvas, rng, style, mitochondria)
    return {"share": share, "platelets": len(platelets)} | densities
