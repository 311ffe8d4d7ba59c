from __future__ import annotations

import numpy as np
import pytest
from textures import pixels

from scripts.registration.fold_mask import FoldMask

SIZE = (100, 61)


def line(size: tuple[int, int], x: int, stop: int | None = None) -> np.ndarray:
    """One column of pixels, from the border on."""
    mask = np.zeros(size, bool)
    mask[x, :stop] = True
    return mask


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
