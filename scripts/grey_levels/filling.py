"""What to put where a section shows no tissue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from .blocks import CHUNK, all_of_blocks, row_slices

__all__ = ["Read", "Window", "fill_outside", "fill_window", "nearest_tissue"]

Window = tuple[slice, slice]
"""Part of a section: its columns and its rows."""

Read = Callable[[Window], NDArray]
"""Give the pixels of a part of a section, (columns, rows)."""


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
    nearest = nearest_tissue(mask)
    if nearest is not None:
        whole = (slice(0, mask.shape[0]), slice(0, mask.shape[1]))
        fill_window(filled, whole, mask.shape, nearest, image.__getitem__, mask.__getitem__)
    return filled


def nearest_tissue(mask: NDArray[np.bool_]) -> NDArray[np.int32] | None:
    """Find the tissue that is nearest to each pixel of a section, at reduced resolution where it is large.

    Args:
        mask: (width, height), the tissue.

    Returns:
        int32 (2, columns, rows): column and row of the block that is nearest to each block. None where nothing is
        outside, or no block is all tissue.
    """
    if mask.all():
        return None
    factor = _factor(mask.shape)
    small = mask if factor == 1 else all_of_blocks(mask, factor)
    if not small.any():
        return None
    return distance_transform_edt(~small, return_distances=False, return_indices=True)


def fill_window(
    pixels: NDArray, window: Window, shape: tuple[int, int], nearest: NDArray[np.int32], image: Read, mask: Read
) -> None:
    """Do what `fill_outside` does in a part of a section.

    Args:
        pixels: (columns, rows) of the part, to be filled.
        window: where the part lies.
        shape: width and height of the section.
        nearest: of `nearest_tissue`.
        image: reads the section.
        mask: reads its tissue.
    """
    factor, size = _factor(shape), np.array(shape)[:, None]
    origin = np.array([[part.start] for part in window])
    for rows in row_slices(pixels.shape):
        columns = slice(window[0].start + rows.start, window[0].start + rows.stop)
        local = np.array(np.nonzero(~mask((columns, window[1]))))
        if not local.size:
            continue
        local[0] += rows.start
        points = local + origin
        parts = np.minimum(points // factor, np.array(nearest.shape[1:])[:, None] - 1)
        corner = nearest[:, parts[0], parts[1]] * factor
        edge = np.clip(points, corner, corner + factor - 1)
        inside = np.abs(2 * edge - points)
        inside = np.minimum(inside, 2 * (size - 1) - inside)
        lost = (inside < 0).any(axis=0)
        inside[:, lost] = edge[:, lost]
        lost |= ~_looked_up(mask, inside)
        inside[:, lost] = edge[:, lost]
        pixels[tuple(local)] = _looked_up(image, inside)


def _factor(shape: tuple[int, int]) -> int:
    """Pixels a side of the blocks among which the nearest is looked for: its index takes 8 bytes."""
    return int(np.ceil(np.sqrt(shape[0] * shape[1] / (4 * CHUNK))))


def _looked_up(read: Read, points: NDArray) -> NDArray:
    """The pixels at some points, from the smallest part that holds them."""
    first, last = points.min(axis=1), points.max(axis=1) + 1
    part = read((slice(first[0], last[0]), slice(first[1], last[1])))
    return part[tuple(points - first[:, None])]
