"""Known solids, cut into sections of 5 x 5 x 50 nm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scripts.instances import (
    Linker,
    Overlaps,
    heights,
    measure_profiles,
    separate,
    skeletonize,
    surfaces,
    volumes,
)

THICKNESS, PIXEL = 50.0, 5.0
Solid = Callable[[np.ndarray], np.ndarray]
"""Distance to the surface, positive inside, of points (..., 3) in z, y, x."""


def capsule(start: np.ndarray, stop: np.ndarray, radius: float) -> Solid:
    """A tube with round ends."""
    along = stop - start
    square = max(along @ along, 1e-9)

    def inside(points: np.ndarray) -> np.ndarray:
        offset = points - start
        product = offset @ along
        place = np.clip(product / square, 0, 1)
        # |offset - place * along|^2, multiplied out
        distance = np.einsum("...i,...i", offset, offset) - place * (2 * product - place * square)
        return radius - np.sqrt(np.maximum(distance, 0))

    return inside


def sections(solids: list[Solid], reach: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Masks of the union, of a volume of `reach` to all sides, the grid shifted at random."""
    shift = rng.uniform(0, 1, 3) * [THICKNESS, PIXEL, PIXEL]
    y = np.arange(-reach, reach, PIXEL)
    rows, columns = np.meshgrid(y + shift[1], y + shift[2], indexing="ij")
    points = np.stack([rows, rows, columns], axis=-1)
    masks = []
    for z in np.arange(-reach, reach, THICKNESS) + shift[0]:
        points[..., 0] = z
        masks.append(np.max([solid(points) for solid in solids], axis=0) >= 0)
    return masks


def measure(masks: list[np.ndarray]) -> dict[str, float]:
    """Volume, surface, length, total length and branch points of one solid."""
    linker, tables, shared, index, voxels = Linker(), [], [], [], []
    for number, mask in enumerate(masks):
        labels = separate(mask, neck=0)
        shared.append(linker.add(labels)[0])
        tables.append(measure_profiles(labels, (PIXEL, PIXEL)).table)
        index += [number] * len(tables[-1])
        size = len(mask) // 5
        coarse = mask.reshape(size, 5, size, 5).mean(axis=(1, 3)) >= 0.5
        voxels.append(np.column_stack([np.full(coarse.sum(), number), *np.nonzero(coarse)]))
    area, perimeter = np.concatenate(tables)[:, :2].T
    section, positions = np.array(index), np.arange(len(masks))
    one = np.ones(len(area), np.int64)
    joined = Overlaps(*(np.concatenate([getattr(s, name) for s in shared]) for name in ("first", "second", "pixels")))
    skeleton = skeletonize(np.concatenate(voxels), (THICKNESS, 5 * PIXEL, 5 * PIXEL))
    return {
        "volume": volumes(one, area, heights(positions, THICKNESS)[section])[0],
        "surface": surfaces(one, section, positions, area, perimeter, joined, PIXEL**2, THICKNESS)[0],
        "length": skeleton.length,
        "total_length": skeleton.total_length,
        "branch_points": skeleton.branch_points,
    }
