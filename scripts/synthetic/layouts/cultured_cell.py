"""Cells in culture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from .. import organelles as o
from ..canvas import Canvas, Shape, blob
from ..mitochondria import MitochondriaStyle
from ..mixing import depth_inside
from ..organelles import Palette
from ..styles import log_uniform, random_cells
from ..tissue import Cells, draw_cells
from .shared import (
    cell_mask,
    draw_cytoplasm,
    draw_mitochondria,
    place_over_share,
    random_grain,
    random_nucleus,
    sometimes,
)

__all__ = ["cultured_cell"]


def cultured_cell(
    canvas: Canvas, rng: np.random.Generator, palette: Palette, style: MitochondriaStyle
) -> dict[str, float]:
    """Cells in culture: thin, branched mitochondria in large cells with a huge nucleus, empty resin around them."""
    inside = cell_mask(canvas, rng, rng.uniform(0.45, 1.0))
    cells = _single_cells(canvas, rng, palette, inside)
    random_grain(canvas, rng, palette)
    numbers: dict[str, float] = {}
    width, height = canvas.extent
    if rng.random() < 0.55:
        place = np.array([rng.uniform(-0.2, 1.2) * width, rng.uniform(-0.2, 1.2) * height])
        if cells.border[_index(canvas, place)] > 300 or rng.random() < 0.3:
            nucleus = o.big_blob(rng, place, rng.uniform(0.25, 0.7) * max(width, 4000), rng.uniform(1, 1.6), 0.06)
            _clip_to(canvas, nucleus, inside)
            random_nucleus(canvas, rng, palette, nucleus)
            numbers["nucleus"] = 1
    share = log_uniform(rng, 0.03, 0.2)
    mitochondria = place_over_share(canvas, rng, palette, style, share)
    densities = {
        "droplets": sometimes(rng, 0.4, 0.01, 0.1),
        "dense_bodies": sometimes(rng, 0.6, 0.02, 0.2),
        "granules": sometimes(rng, 0.3, 0.02, 0.3),
        "multivesicular": sometimes(rng, 0.4, 0.01, 0.08),
        "vacuoles": sometimes(rng, 0.7, 0.05, 0.6),
        "golgi": sometimes(rng, 0.5, 0.01, 0.06),
        "reticulum": sometimes(rng, 0.95, 0.3, 2.5),
        "ribosomes_on_reticulum": sometimes(rng, 0.4, 5, 35),
        "microtubules": sometimes(rng, 0.5, 0.03, 0.3),
        "vesicles": sometimes(rng, 0.7, 0.3, 5),
        "ribosomes": sometimes(rng, 0.6, 5, 60),
    }
    draw_cytoplasm(canvas, rng, palette, densities, style.cristae != "none")
    draw_mitochondria(canvas, rng, style, mitochondria)
    return numbers | {"share": share} | densities


def _index(canvas: Canvas, place: NDArray[np.floating]) -> tuple[int, int]:
    x, y = (place / canvas.coarse).astype(int)
    return int(np.clip(y, 0, canvas.coarse_shape[0] - 1)), int(np.clip(x, 0, canvas.coarse_shape[1] - 1))


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
