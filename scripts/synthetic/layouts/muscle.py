"""Muscle of the heart and of the skeleton."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from .. import organelles as o
from ..canvas import Canvas, Shape
from ..fields import cut
from ..mitochondria import MitochondriaStyle, place_mitochondria
from ..mixing import darken, grey_level
from ..organelles import Palette
from ..styles import log_uniform, random_cells
from ..tissue import draw_cells
from .sarcomeres import Sarcomeres
from .shared import draw_cytoplasm, draw_mitochondria, random_grain, sometimes

__all__ = ["muscle"]


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
    random_grain(canvas, rng, palette)
    densities = {
        "droplets": sometimes(rng, 0.5, 0.01, 0.12),
        "dense_bodies": sometimes(rng, 0.2, 0.01, 0.06),
        "vesicles": sometimes(rng, 0.6, 0.5, 6),
        "reticulum": sometimes(rng, 0.5, 0.1, 0.8),
    }
    draw_cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    if rng.random() < 0.5:
        mask = np.where(canvas.room() > 20, 255, 0).astype(np.uint8)
        o.draw_glycogen(canvas, rng, palette, mask, rng.uniform(10, 120), rng.uniform(8, 18))
    draw_mitochondria(canvas, rng, style, mitochondria)
    return {"along": float(along), "fibril": fibril, "row": row} | densities


def _muscle_along(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle, fibril: float, row: float
) -> list[Shape]:
    """Myofibrils cut along, and rows of mitochondria between them."""
    sarcomeres = Sarcomeres.random(canvas, rng, palette)
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
