from __future__ import annotations

import numpy as np
import pytest

from scripts.registration.fold_mask import FoldMask
from scripts.registration.lattice import Lattice

SIZE = (100, 61)


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform((0, 0), np.array(SIZE) - 1, (500, 2))


def line(size: tuple[int, int], x: int, stop: int | None = None) -> np.ndarray:
    """One column of pixels, from the border on."""
    mask = np.zeros(size, bool)
    mask[x, :stop] = True
    return mask


@pytest.mark.parametrize("size", [(100, 61), (61, 100), (64, 64), (33, 200)])
@pytest.mark.parametrize("nodes", [8, 21])
def test_nodes_reach_from_the_first_pixel_to_the_last(size: tuple[int, int], nodes: int) -> None:
    grid = Lattice.over(size, nodes)
    assert max(grid.shape) == nodes
    places = grid.nodes()
    assert places.shape == (grid.shape[0] * grid.shape[1], 2)
    np.testing.assert_array_equal(places.min(axis=0), 0)
    beyond = places.max(axis=0) - (np.array(size) - 1)
    assert (beyond > -1e-6).all()
    assert (beyond < grid.spacing).all()


def test_weights_of_corners_reproduce_linear_functions(points: np.ndarray) -> None:
    grid = Lattice.over(SIZE, 13)
    index, weight = grid.corners(points)
    assert index.shape == weight.shape == (500, 4)
    assert (weight >= 0).all()
    np.testing.assert_allclose(weight.sum(axis=1), 1)
    np.testing.assert_allclose((weight[..., None] * grid.nodes()[index]).sum(axis=1), points, atol=1e-9)
    assert np.abs(grid.nodes()[index] - points[:, None]).max() <= grid.spacing + 1e-9


def test_points_outside_belong_to_the_border() -> None:
    grid = Lattice((41, 21), 5.0)
    index, weight = grid.corners(np.array([[-30.0, 7.0], [60.0, 7.0], [12.0, -9.0], [99.0, 99.0]]))
    places = (weight[..., None] * grid.nodes()[index]).sum(axis=1)
    np.testing.assert_allclose(places, [[0, 7], [40, 7], [12, 0], [40, 20]])


def test_rescaled_lattice_has_its_nodes_at_the_same_tissue() -> None:
    grid = Lattice.over(SIZE, 13)
    large = grid.rescaled(3, (301, 182))
    assert large.size == (301, 182)
    assert large.shape == grid.shape
    # the middle of the first pixel is that of a block of 3x3
    np.testing.assert_allclose(large.nodes(), 3 * grid.nodes() + 1)


def test_nodes_behind_a_fold_are_not_seen() -> None:
    grid = Lattice((81, 61), 10.0)
    mask = np.zeros((81, 61), bool)
    mask[44:47] = True
    points = np.random.default_rng(4).uniform(0, (80, 60), (800, 2))
    points = points[(points[:, 0] < 43) | (points[:, 0] > 47)]
    index, weight = grid.seen(points, FoldMask(mask, grid.size))
    across = (grid.nodes()[index][..., 0] > 45) != (points[:, :1] > 45)
    assert across.any()
    assert not weight[across].any()
    np.testing.assert_allclose(weight.sum(axis=1), 1)
    far = np.abs(points[:, 0] - 45) > 12
    np.testing.assert_allclose(weight[far], grid.corners(points[far])[1], atol=1e-5)


def test_point_shut_in_by_a_fold_sees_no_node() -> None:
    grid = Lattice((81, 61), 10.0)
    mask = np.zeros((81, 61), bool)
    mask[32:39, 32:39] = True
    mask[34:37, 34:37] = False
    _, weight = grid.seen(np.array([[35.0, 35.0], [35.0, 30.5]]), FoldMask(mask, grid.size))
    assert not weight[0].any()
    assert weight[1].sum() == pytest.approx(1)


def test_scatter_keeps_the_sum_and_the_middle_of_what_is_given(points: np.ndarray) -> None:
    grid = Lattice.over(SIZE, 13)
    values = np.random.default_rng(5).normal(size=(500, 3))
    given = grid.scatter(points, values, None)
    np.testing.assert_allclose(given.sum(axis=0), values.sum(axis=0))
    np.testing.assert_allclose(given.T @ grid.nodes(), values.T @ points)


def test_scatter_gives_nothing_across_a_fold(points: np.ndarray) -> None:
    grid = Lattice.over(SIZE, 13)
    mask = np.zeros(SIZE, bool)
    mask[48:53] = True
    left = points[points[:, 0] < 47]
    given = grid.scatter(left, np.ones((len(left), 1)), FoldMask(mask, SIZE))
    assert given.sum() == pytest.approx(len(left))
    assert not given[grid.nodes()[:, 0] > 48].any()
    assert given[grid.nodes()[:, 0] < 48].all()
