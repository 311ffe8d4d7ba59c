"""What to put where a section shows no tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from .blocks import CHUNK, block_view, row_slices

__all__ = ["fill_outside"]


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
    small = mask if factor == 1 else block_view(mask, factor).all(axis=(1, 3))
    if mask.all() or not small.any():
        return filled
    nearest = distance_transform_edt(~small, return_distances=False, return_indices=True)
    shape = np.array(mask.shape)[:, None]
    for rows in row_slices(mask.shape):
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
