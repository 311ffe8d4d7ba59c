"""Grey levels of real sections: where a section shows tissue, its equalisation there, and what to put elsewhere.

Sections come with hot pixels, dead rows, margins that stitching and registration leave, and wide empty resin. None of
these may decide on the grey levels of the tissue, and none is tissue.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    binary_erosion,
    binary_propagation,
    distance_transform_edt,
    label,
    uniform_filter,
)

__all__ = ["CLIP", "METHODS", "check_clip", "equalize", "fill_outside", "stretch", "tissue_mask"]

METHODS = ("tissue", "section", "none")
"""Ways to bring a section to [0, 1], see `scripts.transforms.EqualizeSectiond`."""

CLIP = (0.0005, 0.9995)
"""Quantiles of the tissue that become black and white."""

CODES = 2**16
"""Grey levels that are told apart."""
SAMPLE = 2**20
"""Pixels from which a range is estimated."""
CHUNK = 2**21
"""Pixels that are worked on at once: bounds the memory."""

BLOCK = 4
"""Pixels a side of the blocks whose mean and variance tell tissue from what is none."""
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
        raise ValueError(f"pixel_size has to be greater than 0 nm, got {pixel_size!r}")
    whole = np.ones(image.shape, bool) if valid is None else valid.astype(bool)
    low, high = _range(image, whole, CLIP)
    if min(image.shape) < 2 * BLOCK or not high > low:
        return whole
    mean, deviation = _blocks(image, low, high)
    known = _block_view(whole)[: mean.shape[0], :, : mean.shape[1]].all(axis=(1, 3))
    structured = deviation[known & (deviation > 1e-3)]
    if not structured.size:
        return whole
    unit = np.quantile(structured, 0.9)
    margin = _margins(mean, deviation, unit)
    empty = _resin(mean, deviation, known & ~margin, *_lengths(pixel_size))
    if not (margin.any() or empty.any()):
        return whole
    tissue = _refined(image, margin, mean, low, high, unit)
    tissue &= ~_enlarged(empty, image.shape)
    tissue &= whole
    return tissue if tissue.any() else whole


def equalize(
    image: NDArray, mask: NDArray[np.bool_] | None = None, clip: tuple[float, float] = CLIP
) -> NDArray[np.float32]:
    """Equalise the histogram of a section: each grey level becomes the share of tissue that is not brighter.

    Unlike MONAI's ``HistogramNormalize`` (even with its mask), whose equal bins span minimum to maximum, so that a hot
    pixel leaves two of them to the tissue and a large offset makes it raise, what few pixels have decides on nothing
    here: integers of up to 16 bit are counted level by level, other types in fine steps between quantiles. Exact, and
    the same on every machine.

    Args:
        image: (width, height), integers or floating point of any range, finite.
        mask: bool, same shape: the tissue, whose histogram counts; None or an empty one counts all pixels.
        clip: quantiles of the tissue that become 0 and 1, with all that is darker and brighter.

    Returns:
        float32, same shape, in [0, 1]; 0.5 throughout a constant section.

    Raises:
        ValueError: the shapes differ, or `clip` are no two increasing numbers from 0 to 1.
    """
    mask = _checked(image, mask, clip)
    limits = _limits(image, mask, clip)
    histogram = np.zeros(CODES, np.int64)
    for rows, codes in _codes(image, limits):
        histogram += np.bincount((codes if mask is None else codes[mask[rows]]).ravel(), minlength=CODES)
    below = histogram.cumsum()
    first, last = below[np.searchsorted(below, [clip[0] * below[-1] or 1, clip[1] * below[-1]])]
    if first == last:  # one grey level fills nearly all: what there is beside it has to do
        first, last = histogram[histogram > 0][0], below[-1]
    table = np.full(CODES, 0.5) if first == last else np.clip((below - first) / (last - first), 0, 1)
    result = np.empty(image.shape, np.float32)
    table = table.astype(np.float32)
    for rows, codes in _codes(image, limits):
        result[rows] = table[codes]
    return result


def stretch(
    image: NDArray, mask: NDArray[np.bool_] | None = None, clip: tuple[float, float] = CLIP
) -> NDArray[np.float32]:
    """Stretch the grey levels of a section to [0, 1], linearly.

    Args:
        image: (width, height), integers or floating point of any range, finite.
        mask: as for `equalize`.
        clip: as for `equalize`.

    Returns:
        float32, same shape, in [0, 1]; 0.5 throughout a constant section.

    Raises:
        ValueError: as for `equalize`.
    """
    mask = _checked(image, mask, clip)
    low, high = _range(image, mask, clip)
    if not high > low:
        return np.full(image.shape, 0.5, np.float32)
    result = np.empty(image.shape, np.float32)
    for rows in _rows(image.shape):
        result[rows] = _scaled(image[rows], low, high)
    return result


def fill_outside(image: NDArray, mask: NDArray[np.bool_]) -> NDArray:
    """Continue the tissue of a section beyond its edge by its mirror image.

    A network sees tissue at the edge as it sees it elsewhere, not beside a step that no tissue has. Each pixel outside
    gets what lies as far inside of the nearest pixel of tissue, or that pixel where there is no tissue so far inside.
    Of large sections the nearest tissue is looked for at reduced resolution, to within some pixels.

    Args:
        image: (width, height), of any type.
        mask: bool, same shape: the tissue.

    Returns:
        A copy of `image` with all pixels outside `mask` filled; as it is where `mask` is empty.

    Raises:
        ValueError: the shapes differ.
    """
    if mask.shape != image.shape:
        raise ValueError(f"the mask has the shape {mask.shape}, the section {image.shape}")
    filled = image.copy()
    factor = int(np.ceil(np.sqrt(mask.size / (4 * CHUNK))))  # the index of the nearest pixel takes 8 bytes
    small = mask if factor == 1 else _block_view(mask, factor).all(axis=(1, 3))
    if mask.all() or not small.any():
        return filled
    nearest = distance_transform_edt(~small, return_distances=False, return_indices=True)
    shape = np.array(mask.shape)[:, None]
    for rows in _rows(mask.shape):
        points = np.array(np.nonzero(~mask[rows]))
        points[0] += rows.start
        parts = np.minimum(points // factor, np.array(small.shape)[:, None] - 1)
        corner = nearest[:, parts[0], parts[1]] * factor
        edge = np.clip(points, corner, corner + factor - 1)
        inside = np.abs(2 * edge - points)
        inside = np.minimum(inside, 2 * (shape - 1) - inside)
        lost = (inside < 0).any(axis=0)
        lost[~lost] = ~mask[tuple(inside[:, ~lost])]
        inside[:, lost] = edge[:, lost]
        filled[tuple(points)] = image[tuple(inside)]
    return filled


def check_clip(clip: tuple[float, float]) -> None:
    """Refuse what `equalize` and `stretch` cannot clip at.

    Args:
        clip: two quantiles.

    Raises:
        ValueError: they are no two increasing numbers from 0 to 1.
    """
    if len(clip) != 2 or not 0 <= clip[0] < clip[1] <= 1:
        raise ValueError(f"clip has to be two increasing quantiles from 0 to 1, got {clip!r}")


def _checked(image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> NDArray[np.bool_] | None:
    if mask is not None and mask.shape != image.shape:
        raise ValueError(f"the mask has the shape {mask.shape}, the section {image.shape}")
    check_clip(clip)
    return mask if mask is not None and mask.any() else None


def _rows(shape: tuple[int, ...], step: int = 1) -> Iterator[slice]:
    """Slices of the first axis, each a multiple of `step` but the last, of `CHUNK` pixels."""
    size = max(1, CHUNK // (shape[1] * step)) * step
    for start in range(0, shape[0], size):
        yield slice(start, min(start + size, shape[0]))


def _range(image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> tuple[float, float]:
    """Grey levels at two quantiles of the pixels, without those that are far from all others, as dead rows are."""
    step = max(1, int(np.sqrt(image.size / SAMPLE)))
    sample = image[::step, ::step]
    if mask is not None and mask[::step, ::step].any():
        sample = sample[mask[::step, ::step]]
    sample = sample.ravel().astype(np.float64)
    first, last = np.quantile(sample, (0.02, 0.98))
    reach = 3 * (last - first)
    if reach > 0:
        sample = sample[(sample >= first - reach) & (sample <= last + reach)]
    low, high = np.quantile(sample, clip)
    return float(low), float(high)


def _limits(image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> tuple[float, float] | None:
    """Range that is counted in `CODES` steps; None for integers of up to 16 bit, whose levels are counted singly."""
    return None if image.dtype.kind in "iub" and image.dtype.itemsize <= 2 else _range(image, mask, clip)


def _scaled(pixels: NDArray, low: float, high: float) -> NDArray[np.float32]:
    """Grey levels from `low` to `high` as 0 to 1, with what is beyond at the ends."""
    exact = np.float32 if pixels.dtype.kind in "iub" and pixels.dtype.itemsize <= 2 else np.float64
    levels = np.clip(pixels.astype(exact), low, high)
    levels -= low
    levels /= high - low
    return levels.astype(np.float32, copy=False)


def _codes(image: NDArray, limits: tuple[float, float] | None) -> Iterator[tuple[slice, NDArray[np.int32]]]:
    """Number the grey levels from 0 to `CODES` - 1, some rows at a time."""
    offset = 2 ** (8 * image.dtype.itemsize - 1) if image.dtype.kind == "i" else 0
    for rows in _rows(image.shape):
        if limits is None:
            yield rows, image[rows].astype(np.int32) + np.int32(offset)
        elif limits[1] > limits[0]:
            yield rows, (_scaled(image[rows], *limits) * (CODES - 1)).round().astype(np.int32)
        else:
            yield rows, np.zeros(image[rows].shape, np.int32)


def _block_view(image: NDArray, block: int = BLOCK) -> NDArray:
    """Whole blocks as (columns, block, rows, block); a rest at the end of an axis is left out."""
    columns, rows = (length // block for length in image.shape)
    return image[: columns * block, : rows * block].reshape(columns, block, rows, block)


def _enlarged(blocks: NDArray, shape: tuple[int, ...]) -> NDArray:
    """What blocks say of each pixel; the rest at the end of an axis is as the last block."""
    pixels = blocks.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    return np.pad(pixels, [(0, n - m) for n, m in zip(shape, pixels.shape, strict=True)], mode="edge")


def _blocks(image: NDArray, low: float, high: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each block, of grey levels from `low` to `high` as 0 to 1."""
    columns, rows = (length // BLOCK for length in image.shape)
    mean, square = (np.empty((columns, rows), np.float32) for _ in range(2))
    for part in _rows((columns * BLOCK, rows * BLOCK), BLOCK):
        levels = _scaled(image[part, : rows * BLOCK], low, high)
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
    core = distance_transform_edt(calm | ~known) >= radius
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
    image: NDArray,
    margin: NDArray[np.bool_],
    mean: NDArray[np.float32],
    low: float,
    high: float,
    unit: float,
) -> NDArray[np.bool_]:
    """Pixels that are no margin: of the blocks beside one, those of other grey levels, but not its fringe."""
    outside = _enlarged(margin, image.shape)
    if not margin.any():
        return ~outside
    beside = np.nonzero(binary_dilation(margin, np.ones((3, 3), bool)) & ~margin)
    pixels = _block_view(image).swapaxes(1, 2)[beside]
    alike = np.abs(_scaled(pixels, low, high) - _level(mean, margin)[beside][:, None, None]) <= 2 * FLAT * unit
    _block_view(outside).swapaxes(1, 2)[beside] = alike
    return ~binary_dilation(outside, iterations=FRINGE)
