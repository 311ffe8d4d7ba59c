"""Warping of sections and of labels, each pixel interpolated once, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .grid import Grid
from .transformation import Transformation, uncut_cells

__all__ = ["INTERPOLATIONS", "to_aligned", "to_section"]

FloatArray = NDArray[np.float64]

INTERPOLATIONS = {"nearest": cv2.INTER_NEAREST, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}

TILE_CELLS = 24
"""Cells of the grid along a tile: bounds the memory, and the size of what OpenCV is given."""


def to_aligned(
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
    if not transformation.is_of(image.shape):
        raise ValueError(
            f"the section has {image.shape[0]}x{image.shape[1]} pixels, its transformation is that of one of "
            f"{transformation.grid.size[0]}x{transformation.grid.size[1]}"
        )
    spacing = transformation.grid.spacing
    grid = Grid(size, spacing)
    nodes = transformation.backward(grid.nodes()).reshape(*grid.shape, 2)
    whole = uncut_cells(nodes, transformation.fold, transformation.grid.size)
    return _warp(image, grid, nodes, whole, transformation.backward, interpolation)


def to_section(
    image: NDArray[Any],
    transformation: Transformation,
    interpolation: str = "nearest",
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Carry a picture of the aligned stack, such as a segmentation, back to the section as it was imaged.

    Args:
        image: (width, height) in the aligned stack.
        transformation: of the section.
        interpolation: one of `INTERPOLATIONS`.

    Returns:
        The picture in the size of the section, in the pixel type of `image`, 0 where it has no source, as under a fold;
        and where it has one, bool.
    """
    grid = Grid(transformation.grid.size, transformation.grid.spacing)
    nodes = transformation.forward(grid.nodes()).reshape(*grid.shape, 2)
    corners = np.where(np.isfinite(nodes), grid.nodes().reshape(nodes.shape), np.nan)
    whole = uncut_cells(corners, transformation.fold, transformation.grid.size)
    return _warp(image, grid, nodes, whole, transformation.forward, interpolation)


def _warp(
    image: NDArray[Any],
    grid: Grid,
    nodes: FloatArray,
    whole: NDArray[np.bool_],
    source: Callable[[FloatArray], FloatArray],
    interpolation: str,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Fill a picture of the grid's size from where `source` says; it is interpolated in cells that are whole."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation has to be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
    kind = image.dtype
    if kind not in (np.uint8, np.uint16, np.int16, np.float32, np.float64):
        # what OpenCV cannot interpolate; 32 bits of an integer fit into a double
        image = image.astype(np.uint8 if kind.kind == "b" else np.float64)
    result = np.zeros(grid.size, image.dtype)
    valid = np.zeros(grid.size, bool)
    for cells, pixels in _tiles(grid):
        positions = _positions(grid, nodes, whole, source, cells, pixels)
        tile, sourced = _sample(image, positions, INTERPOLATIONS[interpolation])
        result[pixels], valid[pixels] = tile, sourced
    if np.issubdtype(kind, np.integer) and image.dtype == np.float64:
        result = np.rint(result)
    return result.astype(kind, copy=False), valid


def _tiles(grid: Grid) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Cells of each tile, and its pixels: those from its first node on and before the first node of the next."""
    starts = [range(0, max(1, n - 1), TILE_CELLS) for n in grid.shape]
    for i in starts[0]:
        for j in starts[1]:
            cells = tuple(slice(k, min(k + TILE_CELLS, n - 1)) for k, n in zip((i, j), grid.shape, strict=True))
            last = [c.stop == n - 1 for c, n in zip(cells, grid.shape, strict=True)]
            pixels = tuple(
                slice(
                    int(np.ceil(c.start * grid.spacing - 1e-6)),
                    size if end else int(np.ceil(c.stop * grid.spacing - 1e-6)),
                )
                for c, size, end in zip(cells, grid.size, last, strict=True)
            )
            yield cells, pixels


def _positions(
    grid: Grid,
    nodes: FloatArray,
    whole: NDArray[np.bool_],
    source: Callable[[FloatArray], FloatArray],
    cells: tuple[slice, slice],
    pixels: tuple[slice, slice],
) -> NDArray[np.float32]:
    """Where each pixel of a tile comes from, (2, width, height), NaN where from nowhere."""
    around = tuple(slice(c.start, c.stop + 1) for c in cells)
    known, inside = nodes[around], whole[cells]
    place = [np.arange(p.start, p.stop) / grid.spacing - c.start for p, c in zip(pixels, cells, strict=True)]
    if inside.any():
        # not by OpenCV, which rounds places to 1/32 of a cell
        positions = np.stack([_bilinear(known[..., axis], *place) for axis in (0, 1)])
    else:
        positions = np.full((2, len(place[0]), len(place[1])), np.nan, np.float32)
    if not inside.all():
        cell = [np.minimum(axis.astype(np.intp), n - 1) for axis, n in zip(place, inside.shape, strict=True)]
        cut = ~inside[np.ix_(*cell)]
        # far from all tissue there is nothing to look for
        finite = np.isfinite(known).all(axis=-1)
        some = finite[:-1, :-1] | finite[1:, :-1] | finite[:-1, 1:] | finite[1:, 1:]
        positions[:, cut] = np.nan
        exact = cut & some[np.ix_(*cell)]
        points = np.argwhere(exact) + np.array([pixels[0].start, pixels[1].start])
        if len(points):
            positions[:, exact] = source(points.astype(np.float64)).T
    return positions


def _bilinear(values: FloatArray, x: FloatArray, y: FloatArray) -> NDArray[np.float32]:
    for axis, place in ((0, x), (1, y)):
        first = np.minimum(place.astype(np.intp), values.shape[axis] - 2)
        share = np.expand_dims(place - first, 1 - axis)
        values = np.take(values, first, axis) * (1 - share) + np.take(values, first + 1, axis) * share
    return values.astype(np.float32)


def _sample(image: NDArray[Any], positions: NDArray[np.float32], interpolation: int) -> tuple[NDArray, NDArray]:
    limits = np.array(image.shape, np.float32).reshape(2, 1, 1) - 0.5
    valid = ((positions >= -0.5) & (positions < limits)).all(axis=0)  # false for NaN
    if not valid.any():
        return np.zeros(valid.shape, image.dtype), valid
    # only the part that is needed: OpenCV takes no picture of more than 32767 pixels a side
    low = np.maximum(np.floor(positions[:, valid].min(axis=1)).astype(int) - 8, 0)
    high = np.ceil(positions[:, valid].max(axis=1)).astype(int) + 9
    part = image[low[0] : high[0], low[1] : high[1]]
    x, y = np.where(valid, positions - low.astype(np.float32).reshape(2, 1, 1), np.float32(0))
    tile = cv2.remap(np.ascontiguousarray(part), y, x, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.where(valid, tile, 0).astype(image.dtype, copy=False), valid
