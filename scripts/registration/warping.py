"""Warping of sections and of labels, each pixel interpolated once, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .kernels import SAME, interpolate, localise
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
TILE_CELLS = 8
"""Cells of the lattice along a tile, whose positions fit the cache of a processor."""
MARGIN = 8
"""Pixels around the positions of a tile that interpolation may look at."""


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
    edges = [_edges(lattice, axis) for axis in (0, 1)]

    def fill(cells: tuple[slice, slice]) -> None:
        positions, pixels = _positions(lattice, nodes, whole, source, edges, cells)
        tile, valid[pixels] = _sample(prepared, positions, INTERPOLATIONS[interpolation])
        tile = restore(tile)
        np.copyto(tile, tile.dtype.type(0), where=~valid[pixels])
        result[pixels] = tile

    # tiles do not depend on each other: the number of threads changes nothing
    with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as pool:
        list(pool.map(fill, _tiles(lattice)))
    return result, valid


def _edges(lattice: Lattice, axis: int) -> NDArray[np.int64]:
    """First pixel of each cell along an axis, and the end of the last cell."""
    size, cells = lattice.size[axis], lattice.shape[axis] - 1
    edges = np.ceil(np.arange(cells + 1) * lattice.spacing - SAME).astype(np.int64)
    edges[-1] = size
    return np.minimum(edges, size)


def _tiles(lattice: Lattice) -> Iterator[tuple[slice, slice]]:
    """Cells of each tile."""
    for i in range(0, lattice.shape[0] - 1, TILE_CELLS):
        for j in range(0, lattice.shape[1] - 1, TILE_CELLS):
            yield tuple(slice(k, min(k + TILE_CELLS, n - 1)) for k, n in zip((i, j), lattice.shape, strict=True))


def _positions(
    lattice: Lattice,
    nodes: FloatArray,
    whole: NDArray[np.bool_],
    source: _Source,
    edges: list[NDArray[np.int64]],
    cells: tuple[slice, slice],
) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
    """Where each pixel of a tile comes from, (2, width, height), NaN where from nowhere; and the pixels of the tile."""
    pixels = tuple(slice(int(e[c.start]), int(e[c.stop])) for e, c in zip(edges, cells, strict=True))
    shape = [p.stop - p.start for p in pixels]
    positions = np.empty((2, *shape), np.float32)
    around = tuple(slice(c.start, c.stop + 1) for c in cells)
    known, inside = nodes[around], whole[cells]
    place = [c.start * lattice.spacing - p.start for c, p in zip(cells, pixels, strict=True)]
    interpolate(known, inside, *place, lattice.spacing, (0, shape[0], 0, shape[1]), positions)
    # far from all tissue there is nothing to look for
    useful = ((known > -1) & (known < source.limits)).all(axis=-1)
    useful = useful[:-1, :-1] | useful[1:, :-1] | useful[:-1, 1:] | useful[1:, 1:]
    cut = np.argwhere(~inside & useful)
    if not len(cut):
        return positions, pixels
    parts = np.arange(PARTS + 1) / PARTS
    fine = np.stack(np.meshgrid(parts, parts, indexing="ij"), axis=-1)
    corner = cut + [c.start for c in cells]
    fine_points = (corner[:, None, None] + fine) * lattice.spacing
    fine_nodes = source.positions(fine_points.reshape(-1, 2)).reshape(fine_points.shape)
    fine_whole = source.uncut(fine_points, fine_nodes)
    exact = np.zeros(shape, bool)
    for cell, its_nodes, its_whole in zip(corner, fine_nodes, fine_whole, strict=True):
        if not np.isfinite(its_nodes).any():
            continue
        start, stop = ([int(e[k + n] - p.start) for e, k, p in zip(edges, cell, pixels, strict=True)] for n in (0, 1))
        place = [k * lattice.spacing - p.start for k, p in zip(cell, pixels, strict=True)]
        window = (start[0], stop[0], start[1], stop[1])
        interpolate(its_nodes, its_whole, *place, lattice.spacing / PARTS, window, positions)
        its = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        exact[its] = np.isnan(positions[(0, *its)])
    places = np.argwhere(exact)
    first_pixel, first_cell = (np.array([s.start for s in slices]) for slices in (pixels, cells))
    part = ((places + first_pixel) * (PARTS / lattice.spacing) + SAME).astype(np.intp) - PARTS * first_cell
    near = _near_tissue(fine_nodes, cut, inside.shape)
    places = places[near[tuple(np.minimum(part, np.array(near.shape) - 1).T)]]
    positions[:, places[:, 0], places[:, 1]] = source.positions((places + first_pixel).astype(np.float64)).T
    return positions, pixels


def _near_tissue(fine_nodes: FloatArray, cut: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Parts of cells in or beside which a node has a source: elsewhere in a gap no pixel needs to be looked up.

    Args:
        fine_nodes: (n, PARTS + 1, PARTS + 1, 2), the sources of the nodes of the parts of each cell, NaN for none.
        cut: (n, 2), the place of each of these cells in the tile.
        shape: number of cells of the tile along x and y.

    Returns:
        bool, `PARTS` times that shape.
    """
    found = np.isfinite(fine_nodes[..., 0])
    near = np.zeros((shape[0], PARTS, shape[1], PARTS), np.uint8)
    near[cut[:, 0], :, cut[:, 1]] = found[:, :-1, :-1] | found[:, 1:, :-1] | found[:, :-1, 1:] | found[:, 1:, 1:]
    # what lies beside the tile is not known here
    border = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 1}
    return cv2.dilate(near.reshape(PARTS * shape[0], -1), np.ones((3, 3), np.uint8), **border).astype(bool)


def _sample(image: NDArray[Any], positions: NDArray[np.float32], interpolation: int) -> tuple[NDArray, NDArray]:
    """Pixels of a picture at positions in it, which are overwritten, and whether these lie within; any where not."""
    valid = np.zeros(positions.shape[1:], bool)
    flat = positions.reshape(2, -1)
    low, high = np.fmin.reduce(flat, axis=1), np.fmax.reduce(flat, axis=1)
    if not ((high >= -0.5) & (low < image.shape)).all():  # NaN without any
        return np.zeros(valid.shape, image.dtype), valid
    # only the part that is needed: OpenCV takes no picture of more than 32767 pixels a side
    start = tuple(max(int(np.floor(n)) - MARGIN, 0) for n in low)
    stop = tuple(int(np.ceil(n)) + MARGIN + 1 for n in high)
    part = image[start[0] : stop[0], start[1] : stop[1]]
    if part.dtype == np.float64 and interpolation == cv2.INTER_CUBIC:
        # OpenCV 5.0.0 is off by some 0.5 % within a pixel of the border
        part = cv2.copyMakeBorder(part, *(4 * [MARGIN]), cv2.BORDER_REPLICATE)
        start = tuple(n - MARGIN for n in start)
    localise(positions, image.shape, start, valid)
    x, y = positions
    return cv2.remap(part, y, x, interpolation, borderMode=cv2.BORDER_REPLICATE), valid
