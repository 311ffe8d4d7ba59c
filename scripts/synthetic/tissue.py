"""Cells side by side: a field of cells with membranes, as in neuropil, epithelium or any tissue cut at random."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, erfinv

from .canvas import Canvas
from .fields import TEXTURE_DEVIATION, cut, smooth_field
from .mixing import blend, darken, depth_inside

__all__ = ["CellField", "Cells", "draw_cells"]

COLOURS = 6
DARK, OUTSIDE = COLOURS, COLOURS + 1


@dataclass
class CellField:
    """Parameters of a field of cells. Lengths in nm, grey levels from 0 to 255.

    Args:
        spacing: mean distance of the smallest processes.
        group: mean distance of the larger cells that are made of them.
        grouped: share of the area that belongs to larger cells.
        ragged: whether larger cells have borders as uneven as the processes beside them.
        stretch: how much longer than wide the processes are.
        direction: of the stretch, in radians.
        warp: amplitude of the bending of borders.
        wrinkles: amplitude of bends of about 100 nm.
        rounding: radius, about, to which the corners of cells are rounded.
        gap: extracellular space between two cells.
        outside: share of processes that are extracellular space (or empty resin).
        dark: share of dark cells (glia).
        cytoplasm: mean grey level.
        variation: standard deviation of the grey level between cells.
        dark_level: grey level of dark cells.
        outside_level: grey level of wide extracellular space.
        gap_level: grey level of what is between two membranes.
        corner: size of the extracellular space where three cells meet, 0 (none) to 0.7.
        membrane: grey level of membranes.
        width: of membranes.
        fuzziness: share of membranes that are cut obliquely.
        unevenness: how unevenly membranes take the stain along their way, 0 to 1.
    """

    spacing: float
    group: float
    grouped: float
    ragged: bool
    stretch: float
    direction: float
    warp: float
    wrinkles: float
    rounding: float
    gap: float
    outside: float
    dark: float
    cytoplasm: float
    variation: float
    dark_level: float
    outside_level: float
    gap_level: float
    corner: float
    membrane: float
    width: float
    fuzziness: float
    unevenness: float


@dataclass
class Cells:
    """What was drawn, on the coarse grid: colour of each cell, and distance from the next membrane in nm."""

    colours: NDArray[np.uint8]
    border: NDArray[np.float32]


def _nearest(rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> tuple[NDArray[np.int32], int]:
    """Voronoi cells of random points on a grid: the number of the nearest point for each pixel, and their count."""
    count = max(2, int(shape[0] * shape[1] / spacing**2))
    seeds = np.full(shape, 255, np.uint8)
    seeds.ravel()[rng.integers(0, seeds.size, count)] = 0
    _, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return labels, count + 1


def draw_cells(
    canvas: Canvas, rng: np.random.Generator, field: CellField, within: NDArray[np.uint8] | None = None
) -> Cells:
    """Draw a field of cells over the whole canvas.

    Each cell has one of a few colours (two neighbours of one colour are one cell of irregular shape). The indicator of
    each colour is smoothed and interpolated; the largest wins, and the difference of the two largest is a smooth
    measure of the distance to the border, through which membranes and extracellular space are looked up.

    Args:
        canvas: changed in place; membranes and extracellular space are taken.
        rng: source of randomness.
        field: parameters.
        within: uint8 on the coarse grid, 0 where there shall be nothing but extracellular space.

    Returns:
        The cells.
    """
    unit = canvas.coarse
    colours = _bent(rng, field, canvas.coarse_shape, unit, _coloured(rng, field, canvas.coarse_shape, unit))
    if within is not None:
        colours[within == 0] = OUTSIDE
    widths, rounding = _boxes(field.rounding / unit)
    rounding *= unit
    first, difference, coarse_difference, resin = _borders(canvas, colours, widths)

    level = np.clip(rng.normal(field.cytoplasm, field.variation, OUTSIDE + 1), field.membrane + 30, 250)
    level[DARK], level[OUTSIDE] = field.dark_level, field.outside_level
    grey = cv2.GaussianBlur(cv2.LUT(colours, _table(level)), (0, 0), 0.7)
    canvas.refine(grey, canvas.grey)
    grain = np.full(256, 255.0)
    grain[OUTSIDE] = 40
    canvas.grain[:] = cv2.LUT(colours, _table(grain))
    _draw_membranes(canvas, rng, field, rounding, difference, first, resin)

    # of at least one pixel, or else two cells are one
    reach = max(field.gap / 2 + field.width, 0.8 * unit)
    membrane = cv2.threshold(coarse_difference, 255 * erf(reach / np.sqrt(2) / rounding), 255, cv2.THRESH_BINARY_INV)[1]
    canvas.taken = cv2.bitwise_or(membrane, cv2.inRange(colours, (OUTSIDE, 0, 0, 0), (OUTSIDE, 0, 0, 0)))
    border = depth_inside(cv2.bitwise_not(membrane), unit)
    return Cells(colours, border)


def _coloured(rng: np.random.Generator, field: CellField, shape: tuple[int, int], unit: float) -> NDArray[np.uint8]:
    """Colours of straight cells, on a grid that `_bent` lays over the section; `unit` is nm a pixel of it."""
    # the grid of the points is turned and shortened along the processes, so that cells become long
    side = int(np.hypot(*shape)) + 24
    grid = (side, max(24, int(side / field.stretch)))
    labels, count = _nearest(rng, grid, field.spacing / unit / np.sqrt(field.stretch))
    groups, group_count = _nearest(rng, grid, field.group / unit / np.sqrt(field.stretch))
    colour_of = rng.integers(0, COLOURS, count + 1).astype(np.uint8)
    kind = rng.random(count + 1)
    colour_of[kind < field.outside] = OUTSIDE
    colour_of[kind > 1 - field.dark] = DARK
    group_colour = rng.integers(0, COLOURS, group_count + 1).astype(np.uint8)
    group_colour[rng.random(group_count + 1) < field.dark] = DARK
    single = rng.random(group_count + 1) > field.grouped
    if not field.ragged:
        return np.where(single[groups], colour_of[labels], group_colour[groups])
    # a ragged group is made of whole processes
    owner = np.zeros(len(colour_of), np.int32)
    owner[labels.ravel()] = groups.ravel()  # the last pixel decides: a matter of chance is enough
    return np.where(single[owner], colour_of, group_colour[owner])[labels]


def _bent(
    rng: np.random.Generator, field: CellField, shape: tuple[int, int], unit: float, colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Lay the colours over the section: stretched, turned, and bent by waves and wrinkles."""
    rows, columns = shape
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    strength = np.float32(field.warp / unit)
    wavelength = 400 / unit
    wrinkles = field.wrinkles / unit / TEXTURE_DEVIATION
    for grid_axis in (x, y):
        grid_axis += strength * smooth_field(rng, (rows, columns), wavelength)
        texture = cut("grain", rng, (rows, columns), 2.0).astype(np.float32)
        cv2.scaleAdd(texture, wrinkles, grid_axis, dst=grid_axis)
    x -= columns / 2
    y -= rows / 2
    cosine, sine = np.float32(np.cos(field.direction)), np.float32(np.sin(field.direction))
    along = (cosine * x + sine * y) / np.float32(field.stretch) + np.float32(colours.shape[1] / 2)
    across = cosine * y - sine * x + np.float32(colours.shape[0] / 2)
    return cv2.remap(colours, along, across, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)


def _borders(
    canvas: Canvas, colours: NDArray[np.uint8], widths: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Smooth the indicator of each colour with two boxes, and compare the two largest in each pixel.

    Returns:
        The largest on the canvas; what it is above the second largest, on the canvas and on the coarse grid; and the
        smoothed indicator of what is outside of cells on the canvas, or None where all is cells.
    """
    first, second = np.zeros(canvas.shape, np.uint8), np.zeros(canvas.shape, np.uint8)
    coarse_first, coarse_second = np.zeros_like(colours), np.zeros_like(colours)
    resin: NDArray[np.uint8] | None = None
    scratch, fine = np.empty(canvas.shape, np.uint8), np.empty(canvas.shape, np.uint8)
    coarse_scratch = np.empty_like(colours)
    for colour in range(OUTSIDE + 1):
        indicator = cv2.inRange(colours, (colour, 0, 0, 0), (colour, 0, 0, 0))
        if not cv2.countNonZero(indicator):
            continue
        for width in widths:
            indicator = cv2.blur(indicator, (width, width))
        _rank(indicator, coarse_first, coarse_second, coarse_scratch)
        canvas.refine(indicator, fine)
        _rank(fine, first, second, scratch)
        if colour == OUTSIDE:  # the last one
            resin = fine
    return first, cv2.subtract(first, second), cv2.subtract(coarse_first, coarse_second), resin


def _table(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[: len(values)] = np.clip(values, 0, 255)
    return table


def _rank(
    values: NDArray[np.uint8], first: NDArray[np.uint8], second: NDArray[np.uint8], scratch: NDArray[np.uint8]
) -> None:
    """Keep the largest and the second largest value of each pixel, in place; `scratch` saves an allocation."""
    cv2.max(second, cv2.min(first, values, dst=scratch), dst=second)
    cv2.max(first, values, dst=first)


def _boxes(sigma: float) -> tuple[tuple[int, int], float]:
    """Widths of two box filters that stand for a Gaussian filter, at a tenth of its cost, and its deviation."""
    pairs = [(a, b) for a in range(3, 15, 2) for b in (a, a + 2)]
    deviations = [np.sqrt((a**2 + b**2 - 2) / 12) for a, b in pairs]
    nearest = int(np.abs(np.subtract(deviations, sigma)).argmin())
    return pairs[nearest], float(deviations[nearest])


def _draw_membranes(
    canvas: Canvas,
    rng: np.random.Generator,
    field: CellField,
    rounding: float,
    difference: NDArray[np.uint8],
    first: NDArray[np.uint8],
    resin: NDArray[np.uint8] | None,
) -> None:
    # across a straight border the difference is erf(distance / sqrt(2) / sigma)
    distance = np.sqrt(2) * rounding * erfinv(np.linspace(0, 0.999, 256))
    two_leaves = field.gap > 5
    half = field.gap / 2
    gap_level: float | NDArray[np.uint8] = field.gap_level
    if resin is not None:  # the gap towards it is resin too, and it has no membrane of its own
        gap_level = cv2.LUT(resin, np.where(np.arange(256) > 12, field.outside_level, field.gap_level).astype(np.uint8))
    if two_leaves:
        lumen = np.clip((half - distance) / 5 + 0.5, 0, 1)
        blend(canvas.grey, cv2.LUT(difference, (255 * lumen).astype(np.uint8)), gap_level)
    # one thick line where there is no room between the two leaves
    centre = half + field.width / 2 if two_leaves else 0.0
    sigma = field.width * (0.45 if two_leaves else 0.85)
    sharp = np.exp(-0.5 * np.square((distance - centre) / sigma))
    blurred = 0.75 * np.exp(-0.5 * np.square(np.maximum(distance - centre, 0) / (sigma + 14)))
    mask = cv2.LUT(difference, (255 * sharp).astype(np.uint8))
    if field.fuzziness > 0:
        tilt = smooth_field(rng, canvas.coarse_shape, 300 / canvas.coarse) + 2.5 * (field.fuzziness - 0.5)
        oblique = canvas.refine(np.clip(127 + 127 * tilt, 0, 255).astype(np.uint8))
        blend(mask, oblique, cv2.LUT(difference, (255 * blurred).astype(np.uint8)))
    if field.unevenness > 0:
        patches = cut("cloud", rng, canvas.coarse_shape, 0.5)
        table = 255 * np.clip(1 - field.unevenness * np.maximum(np.arange(256) - 110, 0) / 84, 0, 1)
        mask = cv2.multiply(mask, canvas.refine(cv2.LUT(patches, table.astype(np.uint8))), scale=1 / 255)
    if resin is not None and two_leaves:
        mask = cv2.min(mask, cv2.LUT(resin, np.clip(8 * (140 - np.arange(256)), 0, 255).astype(np.uint8)))
    if field.corner > 0:
        # where three cells meet none of them wins clearly: a corner of extracellular space with its own membrane
        level = 255 * (1 / 3 + 0.25 * field.corner)
        ramp = (level - np.arange(256)) / 12
        cv2.max(mask, cv2.LUT(first, (255 * np.clip(ramp + 1.4, 0, 1)).astype(np.uint8)), dst=mask)
        darken(canvas.grey, mask, field.membrane)
        blend(canvas.grey, cv2.LUT(first, (255 * np.clip(ramp, 0, 1)).astype(np.uint8)), gap_level)
    else:
        darken(canvas.grey, mask, field.membrane)
