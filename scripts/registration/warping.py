"""Warping of sections and of labels, each pixel interpolated once, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .lattice import Lattice
from .pixel_types import interpolable
from .transformation import Transformation

__all__ = ["INTERPOLATIONS", "warp", "warp_inverse"]

FloatArray = NDArray[np.float64]

INTERPOLATIONS = {"nearest": cv2.INTER_NEAREST, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}

PARTS = 8
"""Parts, along each side, into which cells are divided that a fold touches."""
MOST_SPACING = 80
"""Pixels between the nodes at which sources are looked up; with `TILE_CELLS` the size of a tile."""
MOST_POINTS = 50_000
"""Points whose source is looked for at once."""
TILE_CELLS = 24
"""Cells of the lattice along a tile: bounds the memory, and the size of what OpenCV is given."""


def warp(
    image: NDArray[Any],
    transformation: Transformation,
    size: tuple[int, int],
    interpolation: str = "cubic",
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Warp a section, or a picture of its labels, into the aligned stack.

    Args:
        image: (width, height) of the section.
        transformation: of the section.
        size: width and height of the aligned stack in pixels.
        interpolation: one of `INTERPOLATIONS`; ``"nearest"`` for labels.

    Returns:
        The warped picture, in the pixel type of `image`, 0 where it has no source; and where it has one, bool.

    Raises:
        ValueError: the transformation is that of a section of another size.
    """
    if tuple(image.shape) != transformation.lattice.size:
        raise ValueError(
            f"the section has {image.shape[0]}x{image.shape[1]} pixels, its transformation is that of one of "
            f"{transformation.lattice.size[0]}x{transformation.lattice.size[1]}"
        )

    def uncut(points: FloatArray, positions: FloatArray) -> NDArray[np.bool_]:
        return transformation.uncut(positions)

    source = _Source(transformation.inverse, uncut, image.shape)
    return _warp(image, Lattice(size, min(transformation.lattice.spacing, MOST_SPACING)), source, interpolation)


def warp_inverse(
    image: NDArray[Any],
    transformation: Transformation,
    interpolation: str = "nearest",
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Warp a picture of the aligned stack, such as a segmentation, back to the section as it was imaged.

    Args:
        image: (width, height) in the aligned stack.
        transformation: of the section.
        interpolation: one of `INTERPOLATIONS`.

    Returns:
        The picture in the size of the section, in the pixel type of `image`, 0 where it has no source, as under a fold;
        and where it has one, bool.
    """
    lattice = Lattice(transformation.lattice.size, min(transformation.lattice.spacing, MOST_SPACING))

    def uncut(points: FloatArray, positions: FloatArray) -> NDArray[np.bool_]:
        return transformation.uncut(np.where(np.isfinite(positions), points, np.nan))

    return _warp(image, lattice, _Source(transformation.forward, uncut, image.shape), interpolation)


@dataclass(frozen=True)
class _Source:
    """Where points of a picture to be made come from.

    Attributes:
        positions: of points (n, 2) in the picture that there is, NaN where there is nothing.
        uncut: of the nodes of lattices in the picture and their positions, which cells no fold touches.
        limits: width and height of the picture that there is.
    """

    positions: Callable[[FloatArray], FloatArray]
    uncut: Callable[[FloatArray, FloatArray], NDArray[np.bool_]]
    limits: tuple[int, int]


def _warp(
    image: NDArray[Any], lattice: Lattice, source: _Source, interpolation: str
) -> tuple[NDArray, NDArray[np.bool_]]:
    """Fill a picture of the lattice's size; where pixels come from is interpolated in cells that no fold touches."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, but got {interpolation!r}")
    prepared, restore = interpolable(image, interpolation)
    points = lattice.nodes()
    nodes = source.positions(points).reshape(*lattice.shape, 2)
    whole = source.uncut(points.reshape(nodes.shape), nodes)
    result = np.zeros(lattice.size, image.dtype)
    valid = np.zeros(lattice.size, bool)
    for cells, pixels in _tiles(lattice):
        positions = _positions(lattice, nodes, whole, source, cells, pixels)
        tile, valid[pixels] = _sample(prepared, positions, INTERPOLATIONS[interpolation])
        result[pixels] = np.where(valid[pixels], restore(tile), image.dtype.type(0))
    return result, valid


def _tiles(lattice: Lattice) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Cells of each tile, and its pixels: those from its first node on and before the first node of the next."""
    starts = [range(0, max(1, n - 1), TILE_CELLS) for n in lattice.shape]
    for i in starts[0]:
        for j in starts[1]:
            cells = tuple(slice(k, min(k + TILE_CELLS, n - 1)) for k, n in zip((i, j), lattice.shape, strict=True))
            last = [c.stop == n - 1 for c, n in zip(cells, lattice.shape, strict=True)]
            pixels = tuple(
                slice(
                    int(np.ceil(c.start * lattice.spacing - 1e-6)),
                    size if end else int(np.ceil(c.stop * lattice.spacing - 1e-6)),
                )
                for c, size, end in zip(cells, lattice.size, last, strict=True)
            )
            yield cells, pixels


def _positions(
    lattice: Lattice,
    nodes: FloatArray,
    whole: NDArray[np.bool_],
    source: _Source,
    cells: tuple[slice, slice],
    pixels: tuple[slice, slice],
) -> NDArray[np.float32]:
    """Where each pixel of a tile comes from, (2, width, height), NaN where from nowhere."""
    around = tuple(slice(c.start, c.stop + 1) for c in cells)
    known, inside = nodes[around], whole[cells]
    place = [np.arange(p.start, p.stop) / lattice.spacing - c.start for p, c in zip(pixels, cells, strict=True)]
    # not by OpenCV, which rounds places to 1/32 of a cell
    positions = np.stack([_bilinear(known[..., axis], *place) for axis in (0, 1)])
    if inside.all():
        return positions
    # far from all tissue there is nothing to look for
    useful = ((known > -1) & (known < source.limits)).all(axis=-1)
    useful = useful[:-1, :-1] | useful[1:, :-1] | useful[:-1, 1:] | useful[1:, 1:]
    cut = np.argwhere(~inside & useful)
    parts = np.arange(PARTS + 1) / PARTS
    fine = np.stack(np.meshgrid(parts, parts, indexing="ij"), axis=-1)
    corner = cut + [c.start for c in cells]
    fine_points = (corner[:, None, None] + fine) * lattice.spacing
    fine_nodes = source.positions(fine_points.reshape(-1, 2)).reshape(fine_points.shape)
    fine_whole = source.uncut(fine_points, fine_nodes)
    cell = [np.minimum(axis.astype(np.intp), n - 1) for axis, n in zip(place, inside.shape, strict=True)]
    positions[:, ~inside[np.ix_(*cell)]] = np.nan
    exact = np.zeros(positions.shape[1:], bool)
    for (i, j), its_nodes, its_whole in zip(cut, fine_nodes, fine_whole, strict=True):
        its = tuple(slice(*np.searchsorted(axis, (k, k + 1))) for axis, k in zip(cell, (i, j), strict=True))
        if not its_whole.any():
            exact[its] = np.isfinite(its_nodes).any()
            continue
        within = [(axis[span] - k) * PARTS for axis, span, k in zip(place, its, (i, j), strict=True)]
        positions[(slice(None), *its)] = np.stack([_bilinear(its_nodes[..., axis], *within) for axis in (0, 1)])
        part = [np.minimum(axis.astype(np.intp), PARTS - 1) for axis in within]
        exact[its] = ~its_whole[np.ix_(*part)]
    points = (np.argwhere(exact) + [p.start for p in pixels]).astype(np.float64)
    if len(points):
        # some kilobytes are needed for each point
        chunks = np.array_split(points, -(-len(points) // MOST_POINTS))
        positions[:, exact] = np.concatenate([source.positions(chunk) for chunk in chunks]).T
    return positions


def _bilinear(values: FloatArray, x: FloatArray, y: FloatArray) -> NDArray[np.float32]:
    for axis, place in ((0, x), (1, y)):
        first = np.minimum(place.astype(np.intp), values.shape[axis] - 2)
        share = np.expand_dims(place - first, 1 - axis)
        values = np.take(values, first, axis) * (1 - share) + np.take(values, first + 1, axis) * share
    return values.astype(np.float32)


def _sample(image: NDArray[Any], positions: NDArray[np.float32], interpolation: int) -> tuple[NDArray, NDArray]:
    x, y = positions
    valid = (x >= -0.5) & (x < image.shape[0] - 0.5) & (y >= -0.5) & (y < image.shape[1] - 0.5)  # false for NaN
    if not valid.any():
        return np.zeros(valid.shape, image.dtype), valid
    # only the part that is needed: OpenCV takes no picture of more than 32767 pixels a side
    flat = positions.reshape(2, -1)
    low = np.maximum(np.floor(np.fmin.reduce(flat, axis=1)).astype(int) - 8, 0)
    high = np.ceil(np.fmax.reduce(flat, axis=1)).astype(int) + 9
    part = np.ascontiguousarray(image[low[0] : max(high[0], 1), low[1] : max(high[1], 1)])
    x, y = (np.nan_to_num(axis - np.float32(start)) for axis, start in zip(positions, low, strict=True))
    if part.dtype == np.float64 and interpolation == cv2.INTER_CUBIC:
        # OpenCV 5.0.0 is off by some 0.5 % within a pixel of the border
        part = cv2.copyMakeBorder(part, *(4 * [8]), cv2.BORDER_REPLICATE)
        x, y = x + 8, y + 8
    tile = cv2.remap(part, y, x, interpolation, borderMode=cv2.BORDER_REPLICATE)
    tile[~valid] = 0
    return tile, valid
