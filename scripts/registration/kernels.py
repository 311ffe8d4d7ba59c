"""The loops of the registration over points and pixels, compiled by Numba.

A lattice is given by the position of its first node and its spacing, (x, y, spacing); folds by the distance of each
pixel of their mask to the nearest of them, 0 under a fold, and the pixels of the section along x and y for one of the
mask. A distance without pixels stands for no folds. Each function lets Python's lock go, so that threads share a
section.
"""

from __future__ import annotations

import numba
import numpy as np

from scripts.compilation import compiled

OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
LATTICE = "UniTuple(f8, 3)"
FOLDS = "f4[:,::1], UniTuple(f8, 2)"
INDIFFERENT = 1e-6
"""What a node counts at least that is seen: one on the far side of its cell has no weight by itself, and a point beside
a fold might see no other."""
SAME = 1e-6
"""Pixels within which a pixel lies on the border between two cells, and belongs to the second."""


def points_of(points: np.ndarray) -> np.ndarray:
    """Points (..., 2) of any kind as the functions here take them."""
    return np.require(points.reshape(-1, 2), np.float64, ("C", "W"))


part_of_others = numba.njit(**OPTIONS)
"""For what the functions that are compiled have in common."""


@part_of_others
def _at(distance, x, y):
    """The pixel of the mask at a place in it; what lies beyond it, as at its border."""
    i = min(int(x), distance.shape[0] - 1) if x > 0 else 0
    j = min(int(y), distance.shape[1] - 1) if y > 0 else 0
    return distance[i, j]


@part_of_others
def _distance(distance, factors, x, y):
    """From a point of the section to the nearest fold, in pixels of the mask."""
    return _at(distance, (x + 0.5) / factors[0], (y + 0.5) / factors[1])


@part_of_others
def _touches(distance, factors, x, y, stop_x, stop_y):
    """Whether the straight way between two points of the section touches a fold."""
    if _distance(distance, factors, x, y) == 0 or _distance(distance, factors, stop_x, stop_y) == 0:
        return True
    x, y = (x + 0.5) / factors[0], (y + 0.5) / factors[1]
    way_x, way_y = (stop_x + 0.5) / factors[0] - x, (stop_y + 0.5) / factors[1] - y
    length = np.sqrt(way_x * way_x + way_y * way_y)
    if not length > 0:
        return False
    way_x, way_y = way_x / length, way_y / length
    gone = 0.0
    # as far at once as the nearest fold is away
    while gone < length:
        free = _at(distance, x + gone * way_x, y + gone * way_y)
        if free == 0:
            return True
        gone += max(free - 1.0, 0.5)
    return False


@part_of_others
def _weights(lattice, shape, distance, factors, x, y):
    """Cell (i, j) of a point, and the weights of its nodes (i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1)."""
    origin_x, origin_y, spacing = lattice
    place_x = min(max((x - origin_x) / spacing, 0.0), shape[0] - 1.0)
    place_y = min(max((y - origin_y) / spacing, 0.0), shape[1] - 1.0)
    i, j = min(int(place_x), shape[0] - 2), min(int(place_y), shape[1] - 2)
    share_x, share_y = place_x - i, place_y - j
    w00, w01 = (1 - share_x) * (1 - share_y), (1 - share_x) * share_y
    w10, w11 = share_x * (1 - share_y), share_x * share_y
    if distance.size and _distance(distance, factors, x, y) * min(factors[0], factors[1]) < 2 * spacing:
        x0, y0 = i * spacing + origin_x, j * spacing + origin_y
        x1, y1 = (i + 1) * spacing + origin_x, (j + 1) * spacing + origin_y
        w00 = 0.0 if _touches(distance, factors, x, y, x0, y0) else w00 + INDIFFERENT
        w01 = 0.0 if _touches(distance, factors, x, y, x0, y1) else w01 + INDIFFERENT
        w10 = 0.0 if _touches(distance, factors, x, y, x1, y0) else w10 + INDIFFERENT
        w11 = 0.0 if _touches(distance, factors, x, y, x1, y1) else w11 + INDIFFERENT
        total = w00 + w01 + w10 + w11
        if total > 0:
            w00, w01, w10, w11 = w00 / total, w01 / total, w10 / total, w11 / total
    return i, j, w00, w01, w10, w11


@part_of_others
def _moved(lattice, values, linear, i, j, x, y):
    """Where the map of node (i, j) brings a point."""
    away_x, away_y = x - (lattice[0] + lattice[2] * i), y - (lattice[1] + lattice[2] * j)
    return (
        values[i, j, 0] + linear[i, j, 0, 0] * away_x + linear[i, j, 0, 1] * away_y,
        values[i, j, 1] + linear[i, j, 1, 0] * away_x + linear[i, j, 1, 1] * away_y,
    )


@part_of_others
def _blended(lattice, values, linear, distance, factors, x, y):
    """Where the maps of the nodes bring a point that it sees; NaN where it sees none."""
    i, j, w00, w01, w10, w11 = _weights(lattice, values.shape, distance, factors, x, y)
    if w00 + w01 + w10 + w11 == 0:
        return np.nan, np.nan
    x00, y00 = _moved(lattice, values, linear, i, j, x, y)
    x01, y01 = _moved(lattice, values, linear, i, j + 1, x, y)
    x10, y10 = _moved(lattice, values, linear, i + 1, j, x, y)
    x11, y11 = _moved(lattice, values, linear, i + 1, j + 1, x, y)
    return w00 * x00 + w01 * x01 + w10 * x10 + w11 * x11, w00 * y00 + w01 * y01 + w10 * y10 + w11 * y11


@compiled(f"void({FOLDS}, f8[:,::1], f8[:,::1], b1[::1])")
def between(distance, factors, start, stop, result):
    """Tell for each pair of points whether the straight way between them touches a fold.

    Args:
        distance: (W, H) of the mask.
        factors: pixels of the section for one of the mask.
        start: (n, 2).
        stop: (n, 2).
        result: (n,).
    """
    for n in range(len(start)):
        result[n] = _touches(distance, factors, start[n, 0], start[n, 1], stop[n, 0], stop[n, 1])


@compiled(f"void({LATTICE}, UniTuple(i8, 2), {FOLDS}, f8[:,::1], i8[:,::1], f8[:,::1])")
def seen(lattice, shape, distance, factors, points, index, weight):
    """Find the nodes around points, and their weights; see `Lattice.seen`.

    Args:
        lattice: origin and spacing.
        shape: number of nodes along x and y.
        distance: (W, H) of the mask.
        factors: pixels of the section for one of the mask.
        points: (n, 2).
        index: (n, 4), set to the flat indices of the nodes.
        weight: (n, 4), set to their weights.
    """
    for n in range(len(points)):
        i, j, w00, w01, w10, w11 = _weights(lattice, shape, distance, factors, points[n, 0], points[n, 1])
        first = i * shape[1] + j
        index[n, 0], index[n, 1], index[n, 2], index[n, 3] = first, first + 1, first + shape[1], first + shape[1] + 1
        weight[n, 0], weight[n, 1], weight[n, 2], weight[n, 3] = w00, w01, w10, w11


@compiled(f"void({LATTICE}, f8[:,:,::1], f8[:,:,:,::1], {FOLDS}, f8[:,::1], f8[:,::1])")
def forward(lattice, values, linear, distance, factors, points, result):
    """Blend the maps of the nodes; see `Transformation`.

    Args:
        lattice: origin and spacing.
        values: (X, Y, 2).
        linear: (X, Y, 2, 2).
        distance: (W, H) of the mask.
        factors: pixels of the section for one of the mask.
        points: (n, 2) of the section.
        result: (n, 2), set to their places in the aligned stack, NaN under a fold.
    """
    for n in range(len(points)):
        x, y = points[n]
        if distance.size and _distance(distance, factors, x, y) == 0:
            result[n] = np.nan
        else:
            result[n, 0], result[n, 1] = _blended(lattice, values, linear, distance, factors, x, y)


@compiled(
    f"void({LATTICE}, f8[:,:,::1], f8[:,:,:,::1], f8[:,:,:,::1], {FOLDS}, f8[:,::1], i8[::1], i8, f8, f8, f8[:,::1])"
)
def backward(lattice, values, linear, inverse, distance, factors, targets, nearest, steps, tolerance, reach, result):
    """Look for points that the map brings to given places, from a node on, by the derivative there.

    Args:
        lattice: origin and spacing.
        values: (X, Y, 2).
        linear: (X, Y, 2, 2).
        inverse: (X, Y, 2, 2), of the matrices in `linear`.
        distance: (W, H) of the mask.
        factors: pixels of the section for one of the mask.
        targets: (n, 2) in the aligned stack.
        nearest: (n,), flat index of the node to begin with.
        steps: most steps.
        tolerance: pixels within which the point must arrive; steps go on to a fifth of that.
        reach: pixels within which the point must stay near the node.
        result: (n, 2), set to the points, NaN for those that are not found.
    """
    for n in range(len(targets)):
        i, j = nearest[n] // values.shape[1], nearest[n] % values.shape[1]
        node_x, node_y = lattice[0] + lattice[2] * i, lattice[1] + lattice[2] * j
        x, y = node_x, node_y
        error_x, error_y = targets[n, 0] - values[i, j, 0], targets[n, 1] - values[i, j, 1]
        arrived = False
        for step in range(steps + 1):
            x += inverse[i, j, 0, 0] * error_x + inverse[i, j, 0, 1] * error_y
            y += inverse[i, j, 1, 0] * error_x + inverse[i, j, 1, 1] * error_y
            arrived &= abs(x - node_x) < reach and abs(y - node_y) < reach
            if step == steps or (step and not (abs(x - node_x) < reach and abs(y - node_y) < reach)):
                break
            # under a fold and behind one there is no map: not the right node to begin with
            if distance.size and _distance(distance, factors, x, y) == 0:
                arrived = False
                break
            there_x, there_y = _blended(lattice, values, linear, distance, factors, x, y)
            error_x, error_y = targets[n, 0] - there_x, targets[n, 1] - there_y
            arrived = abs(error_x) < tolerance and abs(error_y) < tolerance
            if not (abs(error_x) > tolerance / 5 or abs(error_y) > tolerance / 5):
                arrived &= abs(x - node_x) < reach and abs(y - node_y) < reach
                break
        if arrived and distance.size:
            arrived = _distance(distance, factors, x, y) != 0
        result[n, 0], result[n, 1] = (x, y) if arrived else (np.nan, np.nan)


@compiled("void(f8[:,:,:], b1[:,:], f8, f8, f8, UniTuple(i8, 4), f4[:,:,::1])")
def interpolate(nodes, whole, first_x, first_y, spacing, window, result):
    """Interpolate values at nodes bilinearly at each pixel of a window of a picture that their cells cover.

    Not by OpenCV, which rounds places to 1/32 of a cell.

    Args:
        nodes: (X, Y, 2).
        whole: (X - 1, Y - 1), cells in which to interpolate.
        first_x: place of the first node in pixels of the picture.
        first_y: likewise.
        spacing: of the nodes in pixels.
        window: first and last x, first and last y (exclusive) of the pixels.
        result: (2, W, H), set in the window, NaN in cells that are not whole.
    """
    x0, x1, y0, y1 = window
    rows, columns = whole.shape
    edges = np.empty(columns + 1, np.int64)
    for j in range(1, columns):
        edges[j] = min(max(int(np.ceil(first_y + j * spacing - SAME)), y0), y1)
    edges[0], edges[columns] = y0, y1
    for x in range(x0, x1):
        i = min(max(int((x - first_x + SAME) / spacing), 0), rows - 1)
        share = (x - first_x) / spacing - i
        for j in range(columns):
            begin, end = edges[j], edges[j + 1]
            if not whole[i, j]:
                result[:, x, begin:end] = np.nan
                continue
            for axis in range(2):
                low = nodes[i, j, axis] * (1 - share) + nodes[i + 1, j, axis] * share
                high = nodes[i, j + 1, axis] * (1 - share) + nodes[i + 1, j + 1, axis] * share
                slope = (high - low) / spacing
                low -= slope * (first_y + j * spacing)
                for y in range(begin, end):
                    result[axis, x, y] = low + slope * y


@compiled("i8(f4[:,:,::1], UniTuple(i8, 2), UniTuple(i8, 2), b1[:,::1])")
def localise(positions, size, start, valid):
    """Turn positions in a picture into those in a part of it.

    Args:
        positions: (2, W, H), NaN for none; set to those in the part, and to 0 outside the picture.
        size: width and height of the picture.
        start: first pixel of the part along x and y.
        valid: (W, H), set to whether they lie within the picture.

    Returns:
        How many do.
    """
    half = np.float32(0.5)
    last_x, last_y = np.float32(size[0] - 0.5), np.float32(size[1] - 0.5)
    start_x, start_y = np.float32(start[0]), np.float32(start[1])
    count = 0
    for i in range(valid.shape[0]):
        for j in range(valid.shape[1]):
            x, y = positions[0, i, j], positions[1, i, j]
            inside = (x >= -half) & (x < last_x) & (y >= -half) & (y < last_y)  # false for NaN
            valid[i, j] = inside
            positions[0, i, j] = x - start_x if inside else np.float32(0)
            positions[1, i, j] = y - start_y if inside else np.float32(0)
            count += inside
    return count
