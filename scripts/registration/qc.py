"""Pictures by which a registration is judged."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .transformation import Transformation

__all__ = ["qc_panel"]

FIELDS = 10
"""Fields of the checkerboard along the longer side."""
LINES = 24
"""Lines of the grid along the longer side."""
GAP = 6
GRID_COLOUR = (0, 114, 178)

Picture = NDArray[np.uint8]


def qc_panel(
    before: tuple[Picture, Picture] | None,
    now: tuple[Picture, Picture],
    transformation: Transformation,
    size: tuple[int, int],
) -> Picture:
    """Show how a section fits the one before it.

    Args:
        before: the section before as it was, (width, height), and as it is aligned; None for the first section.
        now: the section itself, likewise.
        transformation: of the section.
        size: width and height of the aligned stack in pixels.

    Returns:
        uint8 (width, height, 3): difference before (red this section, cyan the one before) and after the alignment,
        above a checkerboard of both and the grid of the deformation.
    """
    grid = _deformed_grid(now[1], transformation, size)
    if before is None:
        return grid
    raw_shape = tuple(np.minimum(before[0].shape, now[0].shape))
    raw = np.zeros((*now[1].shape, 3), np.uint8)
    fits = tuple(slice(0, min(a, b)) for a, b in zip(raw_shape, now[1].shape, strict=True))
    raw[fits] = _anaglyph(before[0][fits], now[0][fits])
    x, y = (np.arange(n) * FIELDS // max(now[1].shape) for n in now[1].shape)
    fields = ((x[:, None] + y) % 2).astype(bool)
    checkerboard = np.repeat(np.where(fields, before[1], now[1])[..., None], 3, axis=2)
    columns = [[raw, checkerboard], [_anaglyph(before[1], now[1]), grid]]
    # the first axis runs from left to right
    return _joined([_joined(column, 1) for column in columns], 0)


def _anaglyph(before: Picture, now: Picture) -> Picture:
    return np.stack([now, before, before], axis=-1)


def _joined(pictures: list[Picture], axis: int) -> Picture:
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=axis)


def _deformed_grid(image: Picture, transformation: Transformation, size: tuple[int, int]) -> Picture:
    """The section, pale, with the lines of a grid that was straight before; they break at folds."""
    picture = np.ascontiguousarray(np.repeat((128 + image // 2)[..., None], 3, axis=2))
    scale = np.array(image.shape) / size
    width, height = transformation.lattice.size
    step = max(width, height) / LINES
    for axis in (0, 1):
        length = (width, height)[axis]
        along = np.linspace(0, length - 1, max(2, int(4 * length / step)))
        for across in np.arange(0, (height, width)[axis], step):
            line = np.stack([along, np.full(len(along), across)][:: 1 if axis == 0 else -1], axis=1)
            places = (transformation.forward(line) + 0.5) * scale - 0.5
            whole = np.isfinite(places).all(axis=1)
            # a line that jumps over a fold is not drawn through it
            far = np.linalg.norm(np.diff(places, axis=0), axis=1) > 2 * np.linalg.norm((along[1] - along[0]) * scale)
            for part in np.split(np.arange(len(places)), np.flatnonzero(~whole[1:] | ~whole[:-1] | far) + 1):
                points = np.rint(places[part][whole[part]])[:, ::-1].astype(np.int32)
                cv2.polylines(picture, [points.reshape(-1, 1, 2)], False, GRID_COLOUR, 1, cv2.LINE_AA)
    return picture
