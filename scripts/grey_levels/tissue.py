"""Where a section shows tissue: neither margins and padding nor wide empty resin."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    binary_erosion,
    binary_propagation,
    distance_transform_edt,
    label,
    minimum_filter,
    uniform_filter,
)

from .blocks import BLOCK, all_of_blocks, block_view, row_slices
from .ranges import CLIP, scaled, tissue_range

__all__ = ["tissue_mask"]

FLAT = 0.05
"""Standard deviation in a block of a margin, as a share of that in blocks rich in structure (of their 90th percentile).
In eight public sets not one block in a thousand of tissue is below 0.07."""

RIPPLE = 0.3, 0.5
"""Standard deviation of blocks beside a margin that compression rippled, and how far their mean may be from it."""

RIPPLE_BLOCKS = 2
"""JPEG's blocks have 8 pixels."""

FRINGE = 2
"""Pixels beside a margin that interpolation mixed with it."""

CONTACT = 0.25
"""Part of the shorter side along which a margin has to lie on the border of the section, if its area is small."""

MARGIN_AREA = 200 * 200
"""Pixels from which on an area is large."""

CALM = 0.2
"""Structure of resin, as a share of that of tissue (of its 90th percentile)."""

NOISE = 0.6
"""Most structure of resin, as a share of the standard deviation within blocks: 0.25 for white noise. Tissue has 0.6 and
more, since its structures are wider than a block."""

NO_NOISE = 0.06
"""Structure below which there is none, noise or not, as after strong compression."""

WINDOW = 300.0, 60
"""Nanometres, and pixels where their size is not known, over which structure is measured: wider than a vesicle."""

WIDE = 2000.0, 400
"""Least width of empty resin, likewise. In tissue of eight public sets what has so little structure is up to 0.8 wide
(in micrometres), in pale cultured cells 1.8."""


def tissue_mask(
    image: NDArray, pixel_size: float | None = None, valid: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Tell tissue from margins, padding and wide empty resin.

    A *margin* is (nearly) constant and joined to the border of the section, of any grey level and shape. *Resin* has
    no structure but noise over a width of micrometres: the means of its blocks vary much less than those of tissue, and
    not more than the noise within blocks explains. What is narrower than that, nuclei, vessels, pale cytoplasm, is
    tissue: what is not will never be called a mitochondrion. In doubt resin counts as tissue, so after smoothing or
    enlargement, which make noise look like structure.

    Args:
        image: (width, height), integers or floating point of any range, finite.
        pixel_size: nanometres, where it is known.
        valid: bool, same shape: where there is a section at all, as a registration knows it.

    Returns:
        bool, same shape. All of `valid` (or all) where nothing would be left.

    Raises:
        ValueError: the shapes differ, or the pixel size is not positive.
    """
    if valid is not None and valid.shape != image.shape:
        raise ValueError(f"valid has the shape {valid.shape}, the section {image.shape}")
    if pixel_size is not None and not pixel_size > 0:
        raise ValueError(f"pixel_size must be greater than 0 nm, but got {pixel_size!r}")
    whole = np.ones(image.shape, bool) if valid is None else valid.astype(bool)
    low, high = tissue_range(image, whole, CLIP)
    if min(image.shape) < 2 * BLOCK or not high > low:
        return whole
    mean, deviation = _blocks(image, low, high)
    known = all_of_blocks(whole)
    structured = deviation[known & (deviation > 1e-3)]
    if not structured.size:
        return whole
    unit = np.quantile(structured, 0.9)
    margin = _margins(mean, deviation, unit)
    empty = _resin(mean, deviation, known & ~margin, *_lengths(pixel_size))
    if not (margin.any() or empty.any()):
        return whole
    tissue = _refined(image, margin, mean, (low, high), unit)
    tissue &= ~_enlarged(empty, image.shape)
    tissue &= whole
    return tissue if tissue.any() else whole


def _enlarged(blocks: NDArray, shape: tuple[int, ...]) -> NDArray:
    """What blocks say of each pixel; the rest at the end of an axis is as the last block."""
    pixels = blocks.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    return np.pad(pixels, [(0, n - m) for n, m in zip(shape, pixels.shape, strict=True)], mode="edge")


def _blocks(image: NDArray, low: float, high: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each block, of grey levels from `low` to `high` as 0 to 1."""
    columns, rows = (length // BLOCK for length in image.shape)
    mean, square = (np.empty((columns, rows), np.float32) for _ in range(2))
    for part in row_slices((columns * BLOCK, rows * BLOCK), BLOCK):
        levels = scaled(image[part, : rows * BLOCK], low, high)
        blocks = slice(part.start // BLOCK, part.stop // BLOCK)
        for result, values in ((mean, levels), (square, levels * levels)):
            lines = values.reshape(-1, BLOCK, rows * BLOCK).sum(axis=1)
            result[blocks] = lines.reshape(-1, rows, BLOCK).sum(axis=2)
    mean /= BLOCK**2
    square /= BLOCK**2
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _margins(mean: NDArray[np.float32], deviation: NDArray[np.float32], unit: float) -> NDArray[np.bool_]:
    """Blocks that are constant and joined to the border."""
    flat = deviation <= FLAT * unit
    # closed over dead rows and hot pixels
    near = np.ones((2 * RIPPLE_BLOCKS + 1,) * 2, bool)
    closed = binary_erosion(binary_dilation(flat, near), near, border_value=1)
    parts, count = label(closed)
    if not count:
        return closed
    border = np.concatenate([parts[0], parts[-1], parts[1:-1, 0], parts[1:-1, -1]])
    contact, area = np.bincount(border, minlength=count + 1), np.bincount(parts.ravel())
    chosen = (contact >= CONTACT * min(mean.shape)) | ((contact > 0) & (area * BLOCK**2 >= MARGIN_AREA))
    chosen[0] = False
    margin = chosen[parts]
    if not margin.any():
        return margin
    alike = (deviation <= RIPPLE[0] * unit) & (np.abs(mean - _level(mean, margin & flat)) <= RIPPLE[1] * unit)
    beside = binary_dilation(margin) & ~margin
    if beside.any() and alike[beside].mean() > 0.5:  # of a sharp margin few are, by chance, and they are tissue
        margin |= binary_dilation(margin, iterations=RIPPLE_BLOCKS, mask=alike)
    return margin


def _level(mean: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean of the blocks that are chosen, as far as they reach a block; far above all grey levels elsewhere."""
    size = 4 * RIPPLE_BLOCKS + 1
    weight = uniform_filter(where.astype(np.float32), size)
    total = uniform_filter(np.where(where, mean, 0), size)
    return np.divide(total, weight, out=np.full(mean.shape, np.inf, np.float32), where=weight > 0.5 / size**2)


def _lengths(pixel_size: float | None) -> tuple[int, float]:
    """Window in which structure is measured, and least radius of resin, in blocks."""
    window, wide = (pixels if pixel_size is None else nm / pixel_size for nm, pixels in (WINDOW, WIDE))
    window = max(3, round(window / BLOCK) | 1)
    return window, max(window, (wide / BLOCK - window) / 2)


def _resin(
    mean: NDArray[np.float32], deviation: NDArray[np.float32], known: NDArray[np.bool_], window: int, radius: float
) -> NDArray[np.bool_]:
    """Blocks of wide empty resin among those that are no margin."""
    share = np.maximum(uniform_filter(known.astype(np.float32), window), 1e-3)

    def average(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return uniform_filter(np.where(known, values, 0), window) / share

    centre = average(mean)
    structure = np.sqrt(np.maximum(average(mean**2) - centre**2, 0))
    noise = np.sqrt(average(deviation**2))
    unit = np.quantile(structure[known], 0.9) if known.any() else 0.0
    calm = (structure < CALM * unit) & ((structure < NOISE * noise) | (structure < NO_NOISE * unit))
    open_ = calm | ~known
    side = 2 * math.ceil(radius / 2**0.5) - 1
    # the square within the disc tells sooner that there is none, as in most sections
    if not (calm & minimum_filter(open_, side, mode="constant", cval=1)).any():
        return np.zeros_like(calm)
    core = distance_transform_edt(open_) >= radius
    core &= calm
    if not core.any():
        return core
    core = binary_propagation(core, mask=calm & known)
    away, nearest = distance_transform_edt(~core, return_indices=True)
    level, spread = (values[tuple(nearest)] for values in (centre, np.maximum(noise, NO_NOISE * unit)))
    # the window reaches over the edge of tissue, so that what is calm ends before it
    alike = (np.abs(mean - level) < spread) & (deviation < 2 * spread) & (away < window // 2)
    return binary_propagation(core, mask=core | (alike & known))


def _refined(
    image: NDArray, margin: NDArray[np.bool_], mean: NDArray[np.float32], range_: tuple[float, float], unit: float
) -> NDArray[np.bool_]:
    """Pixels that are no margin: of the blocks beside one, those of other grey levels, but not its fringe."""
    outside = _enlarged(margin, image.shape)
    if not margin.any():
        return ~outside
    beside = np.nonzero(binary_dilation(margin, np.ones((3, 3), bool)) & ~margin)
    pixels = block_view(image).swapaxes(1, 2)[beside]
    alike = np.abs(scaled(pixels, *range_) - _level(mean, margin)[beside][:, None, None]) <= 2 * FLAT * unit
    block_view(outside).swapaxes(1, 2)[beside] = alike
    return ~binary_dilation(outside, iterations=FRINGE)
