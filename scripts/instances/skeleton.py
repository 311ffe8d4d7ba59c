"""Length and branches of an object, from a skeleton."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, uniform_filter1d
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

__all__ = ["Skeleton", "skeletonize"]

REACH = 1.5
"""How far from a path, in distances to the surface, a voxel belongs to it."""

BRANCH = 1.5
"""How far beyond that reach a branch leads, in distances to the surface: three from the axis, one width of a tube."""

PENALTY = 20.0
"""How much dearer a step along the surface is than one in the middle: paths keep to the middle."""


@dataclass(frozen=True)
class Skeleton:
    """What a skeleton says of an object.

    Attributes:
        length: of the longest path through the object, from surface to surface.
        total_length: of that path and all branches.
        branch_points: places where a branch leaves.
    """

    length: float
    total_length: float
    branch_points: int


def skeletonize(voxels: NDArray[np.integer], spacing: tuple[float, float, float]) -> Skeleton:
    """Find the paths through the middle of an object (TEASAR, Sato et al. 2000).

    The first path leads from one end of the object to the other; what lies around it is struck out, and the farthest
    voxel that is left is the end of the next one, until nothing is left. A path that does not lead farther out than
    the object is wide where it leaves is a bump, no branch.

    Args:
        voxels: int (n, 3), at least one; indices (section, row, column).
        spacing: of the voxels along the three axes; not too different, since a path steps from voxel to voxel.

    Returns:
        The lengths, in the unit of `spacing`. Of an object in several parts (links leap over damaged sections), the
        sums over its parts.
    """
    voxels = np.asarray(voxels, np.int64)
    voxels = voxels - voxels.min(axis=0)
    step = np.array(spacing, float)
    dense = np.zeros(voxels.max(axis=0) + 3, bool)
    dense[tuple((voxels + 1).T)] = True
    depth = distance_transform_edt(dense, sampling=spacing)[tuple((voxels + 1).T)]
    pairs = cKDTree(voxels).query_pairs(1.8, output_type="ndarray")
    lengths = np.linalg.norm((voxels[pairs[:, 0]] - voxels[pairs[:, 1]]) * step, axis=1)
    shape = (len(voxels),) * 2
    graph = csr_array((lengths, (pairs[:, 0], pairs[:, 1])), shape=shape)
    nearness = depth / depth.max()
    costs = lengths * (1 + PENALTY * (1 - nearness[pairs].mean(axis=1)) ** 4)
    middle = csr_array((costs, (pairs[:, 0], pairs[:, 1])), shape=shape)
    count, part = connected_components(graph, directed=False)
    graphs = graph, middle
    parts = [_skeleton(np.flatnonzero(part == i), voxels * step, step, depth, graphs) for i in range(count)]
    return Skeleton(*(sum(values) for values in zip(*parts, strict=True)))


def _skeleton(
    nodes: NDArray[np.int64],
    points: NDArray[np.float64],
    step: NDArray[np.float64],
    depth: NDArray[np.float64],
    graphs: tuple[csr_array, csr_array],
) -> tuple[float, float, int]:
    if len(nodes) == 1:
        return float(step.mean()), float(step.mean()), 0
    graph, middle = graphs  # by the lengths of the steps, and by costs that keep to the middle
    start = nodes[dijkstra(graph, directed=False, indices=nodes[0])[nodes].argmax()]
    distance = dijkstra(graph, directed=False, indices=start)
    before = dijkstra(middle, directed=False, indices=start, return_predecessors=True)[1]
    left = np.zeros(len(points), bool)
    left[nodes] = True
    width = depth.copy()  # of the path that a voxel belongs to
    tree = cKDTree(points[nodes])
    length = total = 0.0
    branches = 0
    while left.any():
        candidates = np.flatnonzero(left)
        path = [int(candidates[distance[candidates].argmax()])]
        # what runs within the reach of an earlier path is that path
        while path[-1] != start and (total == 0 or left[path[-1]]):
            path.append(int(before[path[-1]]))
        path_length = _arc_length(points[path]) + _half_step(points[path], step)
        if total == 0:
            length = total = path_length + _half_step(points[path[::-1]], step)
        elif path_length > max(2 * step.max(), BRANCH * width[path[-1]]):
            total += path_length + REACH * width[path[-1]]
            branches += 1
        left[path] = False
        for place in path:
            around = nodes[tree.query_ball_point(points[place], REACH * depth[place] + step.max())]
            width[around[left[around]]] = depth[place]
            left[around] = False
    return float(length), float(total), branches


def _arc_length(points: NDArray[np.float64]) -> float:
    """Length of a path without the zigzag of its voxels."""
    if len(points) < 2:
        return 0.0
    window = min(7, len(points))
    inner = uniform_filter1d(points, window, axis=0, mode="nearest")
    smooth = np.vstack([points[:1], inner[window // 2 : len(inner) - window // 2], points[-1:]])
    return float(np.linalg.norm(np.diff(smooth, axis=0), axis=1).sum())


def _half_step(points: NDArray[np.float64], step: NDArray[np.float64]) -> float:
    """From the middle of the first voxel to its face, along the path."""
    if len(points) < 2:
        return float(step.min() / 2)
    direction = points[0] - points[min(len(points) - 1, 4)]
    direction = np.abs(direction / np.linalg.norm(direction))
    return float((step / 2 / np.maximum(direction, 1e-9)).min())
