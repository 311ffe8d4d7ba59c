from __future__ import annotations

import numpy as np
import pytest
from textures import pixels

from scripts.registration.grid import FoldMask, Grid

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
    grid = Grid.over(size, nodes)
    assert max(grid.shape) == nodes
    places = grid.nodes()
    assert places.shape == (grid.shape[0] * grid.shape[1], 2)
    np.testing.assert_array_equal(places.min(axis=0), 0)
    beyond = places.max(axis=0) - (np.array(size) - 1)
    assert (beyond > -1e-6).all()
    assert (beyond < grid.spacing).all()


def test_weights_of_corners_reproduce_linear_functions(points: np.ndarray) -> None:
    grid = Grid.over(SIZE, 13)
    index, weight = grid.corners(points)
    assert index.shape == weight.shape == (500, 4)
    assert (weight >= 0).all()
    np.testing.assert_allclose(weight.sum(axis=1), 1)
    np.testing.assert_allclose((weight[..., None] * grid.nodes()[index]).sum(axis=1), points, atol=1e-9)
    assert np.abs(grid.nodes()[index] - points[:, None]).max() <= grid.spacing + 1e-9


def test_points_outside_belong_to_the_border() -> None:
    grid = Grid((41, 21), 5.0)
    index, weight = grid.corners(np.array([[-30.0, 7.0], [60.0, 7.0], [12.0, -9.0], [99.0, 99.0]]))
    places = (weight[..., None] * grid.nodes()[index]).sum(axis=1)
    np.testing.assert_allclose(places, [[0, 7], [40, 7], [12, 0], [40, 20]])


def test_enlarged_grid_has_its_nodes_at_the_same_tissue() -> None:
    grid = Grid.over(SIZE, 13)
    large = grid.enlarged(3, (301, 182))
    assert large.size == (301, 182)
    assert large.shape == grid.shape
    # the middle of the first pixel is that of a block of 3x3
    np.testing.assert_allclose(large.nodes(), 3 * grid.nodes() + 1)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_covers_takes_small_masks_for_blocks_of_pixels(factor: int) -> None:
    mask = np.random.default_rng(1).random((24, 15)) < 0.3
    size = (24 * factor, 15 * factor)
    covered = FoldMask(mask, size).covers(pixels(size))
    np.testing.assert_array_equal(covered, np.kron(mask, np.ones((factor, factor), bool)))


def test_small_mask_may_leave_out_the_last_pixels() -> None:
    mask = np.zeros((33, 20), bool)
    mask[-1], mask[:, 7] = True, True
    covered = FoldMask(mask, (101, 62)).covers(pixels((101, 62)))
    assert covered[96:].all()
    assert covered[:, 21:24].all()
    assert covered.sum() == 5 * 62 + 96 * 3


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_distance_to_a_line(factor: int) -> None:
    size = (80, 40)
    distance = FoldMask(line((80 // factor, 40 // factor), 40 // factor), size).distance(pixels(size))
    x = np.arange(80)
    expected = np.maximum(0, np.maximum(40 - x, x - (39 + factor)))
    assert np.abs(distance - expected[:, None]).max() <= factor
    np.testing.assert_array_equal(distance == 0, np.broadcast_to((expected == 0)[:, None], size))


def test_distance_around_a_corner_is_straight() -> None:
    mask = np.zeros((80, 80), bool)
    mask[40:, 40:] = True
    distance = FoldMask(mask, (80, 80)).distance(np.array([[10.0, 0.0], [36.0, 37.0]]))
    np.testing.assert_allclose(distance, [50, 5], rtol=0.03)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_between_finds_a_line_on_every_way_through_it(factor: int) -> None:
    size = (80, 60)
    folds = FoldMask(line((80 // factor, 60 // factor), 40 // factor), size)
    rng = np.random.default_rng(2)
    start, stop = rng.uniform(0, (38, 59), (2000, 2)), rng.uniform((45, 0), (79, 59), (2000, 2))
    assert folds.between(start, stop).all()
    assert folds.between(stop, start).all()
    assert not folds.between(start, start[::-1]).any()
    assert not folds.between(stop, stop[::-1]).any()
    assert not folds.between(start, start).any()


def test_between_goes_past_the_end_of_a_fold() -> None:
    folds = FoldMask(line((80, 60), 40, 30), (80, 60))
    start = np.stack([np.full(60, 10.0), np.arange(60.0)], axis=1)
    stop = np.stack([np.full(60, 70.0), np.arange(60.0)], axis=1)
    np.testing.assert_array_equal(folds.between(start, stop), np.arange(60) < 30)
    assert folds.between(start[None], stop[None]).shape == (1, 60)


def test_between_agrees_with_the_distance_of_the_way_from_a_disc() -> None:
    size, middle, radius = (120, 90), np.array([55.0, 40.0]), 15
    folds = FoldMask(np.linalg.norm(pixels(size) - middle, axis=-1) <= radius, size)
    rng = np.random.default_rng(3)
    start, stop = rng.uniform((0, 0), (119, 89), (2, 4000, 2))
    along = stop - start
    share = np.clip(((middle - start) * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
    nearest = np.linalg.norm(start + share[:, None] * along - middle, axis=1)
    touched = folds.between(start, stop)
    assert touched[nearest < radius - 1.5].all()
    assert not touched[nearest > radius + 1.5].any()
    assert 0.1 < touched.mean() < 0.9


def test_between_starts_and_ends_in_folds() -> None:
    folds = FoldMask(line((80, 60), 40), (80, 60))
    inside, outside = np.array([[40.0, 20.0]]), np.array([[20.0, 20.0]])
    assert folds.between(inside, outside).all()
    assert folds.between(outside, inside).all()
    assert folds.between(inside, inside).all()


def test_nodes_behind_a_fold_are_not_seen() -> None:
    grid = Grid((81, 61), 10.0)
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
    grid = Grid((81, 61), 10.0)
    mask = np.zeros((81, 61), bool)
    mask[32:39, 32:39] = True
    mask[34:37, 34:37] = False
    _, weight = grid.seen(np.array([[35.0, 35.0], [35.0, 30.5]]), FoldMask(mask, grid.size))
    assert not weight[0].any()
    assert weight[1].sum() == pytest.approx(1)


def test_scatter_keeps_the_sum_and_the_middle_of_what_is_given(points: np.ndarray) -> None:
    grid = Grid.over(SIZE, 13)
    values = np.random.default_rng(5).normal(size=(500, 3))
    given = grid.scatter(points, values, None)
    np.testing.assert_allclose(given.sum(axis=0), values.sum(axis=0))
    np.testing.assert_allclose(given.T @ grid.nodes(), values.T @ points)


def test_scatter_gives_nothing_across_a_fold(points: np.ndarray) -> None:
    grid = Grid.over(SIZE, 13)
    mask = np.zeros(SIZE, bool)
    mask[48:53] = True
    left = points[points[:, 0] < 47]
    given = grid.scatter(left, np.ones((len(left), 1)), FoldMask(mask, SIZE))
    assert given.sum() == pytest.approx(len(left))
    assert not given[grid.nodes()[:, 0] > 48].any()
    assert given[grid.nodes()[:, 0] < 48].all()
