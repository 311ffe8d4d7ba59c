from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label

from scripts.instances import separate


def test_specks_change_nothing_but_the_time() -> None:
    generator = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(generator.random((200, 200)), 1.5) > 0.5
    mask |= generator.random(mask.shape) < 0.02
    bodies = label(mask, connectivity=1)
    large = np.bincount(bodies.ravel()) >= 30
    large[0] = False
    labels = separate(mask, min_area=30)
    assert labels.max() > 20
    assert len(large) > 2 * large.sum()
    np.testing.assert_array_equal(labels, separate(large[bodies], min_area=30))


def discs(*centres: tuple[float, float], radius: float = 10, size: tuple[int, int] = (60, 90)) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.any([np.hypot(y - cy, x - cx) <= radius for cy, cx in centres], axis=0)


def test_touching_discs_are_cut_at_their_neck() -> None:
    labels = separate(discs((30, 30), (30, 48)))
    assert labels.max() == 2
    assert labels[30, 30] != labels[30, 48]
    assert abs(np.count_nonzero(labels == 1) - np.count_nonzero(labels == 2)) < 20
    _, x = np.nonzero((labels[:, :-1] > 0) & (labels[:, 1:] > 0) & (labels[:, :-1] != labels[:, 1:]))
    assert set(x) <= {38, 39}  # the neck lies at 39


@pytest.mark.parametrize(("neck", "parts"), [(0.0, 1), (0.3, 1), (0.8, 2)])
def test_neck_says_what_is_cut(neck: float, parts: int) -> None:
    mask = discs((30, 30), (30, 47))  # the neck is half as wide as the discs
    assert separate(mask, neck=neck).max() == parts


def test_a_wavy_rod_is_one() -> None:
    y, x = np.mgrid[:60, :90]
    rod = (np.abs(y - 30) <= 8 + np.sin(x / 4)) & (x > 5) & (x < 85)
    assert separate(rod).max() == 1


def test_oblong_pixels() -> None:
    """A disc of pixels half as high as wide has no neck, wherever it is measured in nanometres."""
    tall = np.repeat(discs((30, 30), (30, 47)), 2, axis=0)
    np.testing.assert_array_equal(separate(tall, spacing=(0.5, 1.0)).max(), separate(tall[::2]).max())


def test_small_profiles_and_holes() -> None:
    mask = discs((30, 30))
    mask[5:7, 5:7] = True
    mask[30, 30] = False
    labels = separate(mask, min_area=5)
    assert labels.max() == 1
    assert labels[5, 5] == 0
    assert labels[30, 30] == 1


def test_nothing_and_everything() -> None:
    assert separate(np.zeros((20, 30), bool)).max() == 0
    np.testing.assert_array_equal(separate(np.ones((20, 30), bool)), np.ones((20, 30)))


@pytest.mark.parametrize("neck", [-0.1, 1.1])
def test_neck_out_of_range(neck: float) -> None:
    with pytest.raises(ValueError, match=r"neck must be within \[0, 1\]"):
        separate(np.ones((3, 3), bool), neck=neck)
