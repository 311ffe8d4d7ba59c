"""Objects within one section: mitochondria that touch are told apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.cluster.hierarchy import DisjointSet
from skimage.measure import label, regionprops
from skimage.segmentation import watershed

from .numbers import count_pixels, renumber

__all__ = ["separate"]


def separate(
    mask: NDArray[np.bool_], neck: float = 0.8, min_area: float = 0, spacing: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.int32]:
    """Number the profiles of a section, and cut those that touch at their neck.

    The distance to the background has a peak in each body and a saddle at each neck. A watershed cuts the mask at all
    necks; then neighbours are joined again, from the widest neck to the narrowest, unless the neck is less than `neck`
    times as wide as the thinner of the two bodies. What matters is the ratio, so the same setting serves thick and thin
    mitochondria and any pixel size.

    Args:
        mask: bool (height, width), what is mitochondrion.
        neck: from 0 (whatever touches is one) to 1 (cut at each constriction).
        min_area: profiles of fewer than this many pixels are left out, after separation; holes as small are filled.
        spacing: height and width of a pixel, in the same unit.

    Returns:
        int32 (height, width): 0 is background, profiles count from 1 without gaps.

    Raises:
        ValueError: `mask` is not of two axes, or `neck` is not within [0, 1].
    """
    if mask.ndim != 2:
        raise ValueError(f"mask must have two axes, but has {mask.ndim}")
    if not 0 <= neck <= 1:
        raise ValueError(f"neck must be within [0, 1], but got {neck!r}")
    mask = np.asarray(mask, bool)
    profiles = label(mask, connectivity=1).astype(np.int32, copy=False)
    highest = int(profiles.max())
    for region in regionprops(profiles):
        window, body = profiles[region.slice], region.image
        if body.size < min_area:  # whatever is done to it, it is left out; a noisy mask has tens of thousands
            continue
        holes = _small_holes(body, min_area)
        window[holes] = region.label
        filled = body | holes
        if neck > 0 and np.count_nonzero(filled) >= min_area:
            parts = _cut(filled, neck, spacing)
            cut = parts > 1
            window[cut] = highest + parts[cut] - 1
            highest += max(0, int(parts.max()) - 1)
    return _without_small(profiles, min_area)


def _small_holes(body: NDArray[np.bool_], min_area: float) -> NDArray[np.bool_]:
    """What a body encloses in less than `min_area` pixels."""
    holes = ndimage.binary_fill_holes(body) & ~body
    if not holes.any():
        return holes
    numbers = ndimage.label(holes)[0]
    return holes & (np.bincount(numbers.ravel()) < min_area)[numbers]


def _cut(body: NDArray[np.bool_], neck: float, spacing: tuple[float, float]) -> NDArray[np.int32]:
    """Cut one connected body; parts count from 1, and 0 is outside."""
    # a body that fills the picture has background around it, or its distance would have no end
    distance = ndimage.distance_transform_edt(np.pad(body, 1), sampling=spacing)[1:-1, 1:-1].astype(np.float32)
    # without it each step of a staircase is a peak
    smooth = ndimage.gaussian_filter(distance, 1.0) * body
    parts = watershed(-smooth, mask=body)
    if parts.max() < 2:
        return parts
    numbers = range(1, int(parts.max()) + 1)
    peak = dict(zip(numbers, ndimage.maximum(distance, parts, numbers), strict=True))
    bodies = DisjointSet(numbers)
    for width, one, other in _necks(parts, distance):
        lower, higher = sorted((bodies[one], bodies[other]), key=peak.get)
        if lower != higher and width >= neck * peak[lower]:
            bodies.merge(one, other)
            peak[bodies[one]] = peak[higher]
    roots = np.array([0, *(bodies[part] for part in numbers)])
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)[parts]


def _necks(parts: NDArray[np.int32], distance: NDArray[np.float32]) -> list[tuple[float, int, int]]:
    """Half width of the neck between each two parts that touch, widest first."""
    widest: dict[tuple[int, int], float] = {}
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        a, b = parts[one], parts[other]
        touch = (a != b) & (a > 0) & (b > 0)
        width = np.minimum(distance[one][touch], distance[other][touch])
        pairs = np.sort(np.stack([a[touch], b[touch]]), axis=0)
        for first, second, value in zip(*pairs.tolist(), width.tolist(), strict=True):
            widest[first, second] = max(widest.get((first, second), 0.0), value)
    return sorted(((width, *pair) for pair, width in widest.items()), reverse=True)


def _without_small(profiles: NDArray[np.int32], min_area: float) -> NDArray[np.int32]:
    areas = count_pixels(profiles)
    kept = areas >= max(1, min_area)
    if kept[1:].all():
        return profiles
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return renumber(profiles, numbers)
