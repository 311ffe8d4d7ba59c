from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from textures import grey, mapped, pixels, shifted, texture, turned

from scripts.registration import Transformation
from scripts.registration.block_matching import PatchMatches, match_patches

SIZE = (240, 200)
STILL = np.eye(2, 3)


def tissue(matrix: np.ndarray = STILL, seed: int = 0) -> np.ndarray:
    """The section whose pixels belong where the affine map takes them."""
    places = mapped(matrix, pixels(SIZE).reshape(-1, 2)).T.reshape(2, *SIZE) + 40
    return grey(map_coordinates(texture(seed, (320, 280)), places, order=3))


def nothing() -> np.ndarray:
    return np.zeros(SIZE, bool)


def find(moving: np.ndarray, fixed: np.ndarray, matrix: np.ndarray = STILL, **arguments: Any) -> PatchMatches:
    arguments = {
        "moving_invalid": nothing(),
        "fixed_invalid": nothing(),
        "size": 32,
        "radius": 10,
        "step": 20.0,
    } | arguments
    return match_patches(moving=moving, fixed=fixed, transformation=Transformation.affine(SIZE, matrix), **arguments)


def shift(x: float, y: float) -> np.ndarray:
    return shifted(STILL, x, y)


def inner(found: PatchMatches) -> np.ndarray:
    """Patches wholly within both sections."""
    both = np.concatenate([found.points, found.targets], axis=1)
    return ((both > 20) & (both < np.tile(SIZE, 2) - 20)).all(axis=1)


@pytest.mark.parametrize("offset", [(0, 0), (7, -4), (-8, 8)])
def test_whole_shift_is_found(offset: tuple[int, int]) -> None:
    found = find(tissue(shift(*offset)), tissue())
    assert len(found) > 80
    which = inner(found)
    np.testing.assert_allclose(found.targets[which] - found.points[which], np.tile(offset, (which.sum(), 1)), atol=0.1)
    np.testing.assert_allclose(found.expected, found.points)
    assert (found.correlation[which] > 0.99).all()
    assert (found.initial_correlation[which] > 0.99).all() == (offset == (0, 0))
    assert (found.initial_correlation <= found.correlation).all()


@pytest.mark.parametrize("offset", [(0.3, 0.5), (-2.5, 3.25), (5.8, -0.4)])
def test_fractions_of_a_pixel_are_found(offset: tuple[float, float]) -> None:
    found = find(tissue(shift(*offset)), tissue())
    off = (found.targets - found.points - offset)[inner(found)]
    assert len(off) > 40
    assert np.abs(off).max() < 0.2


@pytest.mark.parametrize("matrix", [turned(14, (120.0, 100.0)), np.array([[1.1, 0.06, -15.0], [-0.04, 0.93, 10.0]])])
def test_patches_are_deformed_as_far_as_is_known(matrix: np.ndarray) -> None:
    moving = tissue(matrix)
    known = shifted(matrix, 3, -5)  # and the rest is found
    found = find(moving, tissue(), known)
    which = inner(found)
    assert which.sum() > 30
    assert np.abs(found.targets - mapped(matrix, found.points))[which].max() < 0.3
    np.testing.assert_allclose(found.expected, mapped(known, found.points), atol=1e-9)
    assert np.median(found.correlation[which]) > 0.98
    blind = find(moving, tissue(), shift(*(known @ (120, 100, 1) - (120, 100))))
    assert np.median(blind.correlation) < np.median(found.correlation[which]) - 0.05


def test_middles_lie_on_a_grid_over_the_section() -> None:
    one, other = (find(tissue(), tissue(), offset=offset) for offset in (0.0, 0.5))
    for found in (one, other):
        assert (found.points >= 0).all()
        assert (found.points < SIZE).all()
        steps = np.diff(np.unique(found.points[:, 0].round(6)))
        np.testing.assert_allclose(steps, 20)
    np.testing.assert_allclose((other.points.min(axis=0) - one.points.min(axis=0)) % 20, 10)


def test_patches_farther_than_the_radius_are_not_found_there() -> None:
    found = find(tissue(shift(16, 0)), tissue())
    assert (np.abs(found.targets - found.expected) <= 10).all()
    assert np.median(found.correlation) < 0.6
    which = inner(find(tissue(shift(16, 0)), tissue(), radius=20))
    assert which.sum() > 40


def test_weights_tell_right_from_wrong() -> None:
    right, wrong = find(tissue(shift(3, 2)), tissue()), find(tissue(), tissue(seed=1))
    assert right.weights.shape == (len(right),)
    assert np.median(right.weights) > 4 * np.median(wrong.weights)
    for found in (right, wrong):
        assert ((found.peak_margin >= 0) & (found.peak_margin <= 1)).all()
        assert (found.correlation <= 1 + 1e-6).all()
        assert (found.weights > 0).all()


def test_repeated_texture_is_not_clear() -> None:
    stripes = np.broadcast_to(128 + 60 * np.sin(2 * np.pi * np.arange(SIZE[0]) / 8)[:, None], SIZE)
    grain = np.random.default_rng(0).normal(0, 3, SIZE)
    image = (stripes + grain).astype(np.uint8)
    found = find(image, image)
    assert np.median(found.peak_margin) < 0.3
    assert np.median(find(tissue(), tissue()).peak_margin) > 0.3


def test_blank_areas_are_not_reported() -> None:
    blank = tissue()
    blank[:110] = 180
    for moving, fixed in ((blank, tissue()), (tissue(), blank), (blank, blank)):
        found = find(moving, fixed)
        assert len(found) > 30
        assert (found.points[:, 0] > 110 - 16 - 10).all()
    assert len(find(np.full(SIZE, 90, np.uint8), tissue())) == 0
    assert len(find(tissue(), np.full(SIZE, 90, np.uint8))) == 0


def test_hidden_patches_are_not_reported() -> None:
    hidden = nothing()
    hidden[80:160, 60:140] = True
    found = find(tissue(), tissue(), moving_invalid=hidden)
    x, y = np.rint(found.points).astype(int).T
    assert not hidden[x, y].any()
    assert len(found) > 40
    everything = find(tissue(), tissue())
    x, y = np.rint(everything.points).astype(int).T
    assert hidden[x, y].sum() > 8


def test_what_is_partly_hidden_says_nothing() -> None:
    """Fold-like streaks do not pull the patches beside them."""
    fold = nothing()
    fold[100:106] = True
    moving, fixed = tissue(shift(6, 2)), tissue()
    moving[fold] = 5
    off = {}
    for name, hidden in (("known", fold), ("unknown", nothing())):
        found = find(moving, fixed, moving_invalid=hidden)
        near = inner(found) & (np.abs(found.points[:, 0] - 103) < 16)
        assert near.sum() > 3
        off[name] = np.linalg.norm(found.targets - found.points - (6, 2), axis=1)[near]
    assert np.median(off["known"]) < 1
    assert np.median(off["unknown"]) > 2 * np.median(off["known"])


def test_nothing_is_looked_for_where_the_neighbour_shows_nothing() -> None:
    unknown = nothing()
    unknown[:, 100:] = True
    found = find(tissue(), tissue(), fixed_invalid=unknown)
    assert len(found) > 30
    assert (found.targets[:, 1] < 115).all()
    assert len(find(tissue(), tissue(), fixed_invalid=~nothing())) == 0


def test_nothing_is_looked_for_under_a_fold() -> None:
    fold = nothing()
    fold[95:125] = True
    transformation = Transformation.affine(SIZE, STILL, fold=fold)
    found = match_patches(tissue(), nothing(), tissue(), nothing(), transformation, 32, 10, 10.0)
    assert not fold[tuple(np.rint(found.points).astype(int).T)].any()
    assert (found.points[:, 0] < 95).any()
    assert (found.points[:, 0] > 125).any()


def test_section_far_outside_has_no_patches() -> None:
    found = find(tissue(), tissue(), shift(2000, 0))
    assert len(found) == 0
    assert found.targets.shape == (0, 2)
    assert found.weights.shape == (0,)
