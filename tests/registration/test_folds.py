from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from textures import grey, pixels, texture

from scripts.registration import FoldDetector, MovingLeastSquares, Transformation
from scripts.registration.folds import displacement_across

SIZE = (400, 320)
X, Y = np.moveaxis(pixels(SIZE), -1, 0)


def side(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance from the middle of a curved fold."""
    return x - 190 - 25 * np.sin(y / 60)


BAND = np.abs(side(X, Y)) < 6
ENDING = BAND & (Y < 200)
BLOBS = np.min([np.hypot(X - x, Y - y) for x, y in ((90, 80), (300, 100), (120, 240), (310, 250))], axis=0) < 22


def darkened(*areas: np.ndarray) -> np.ndarray:
    image = 0.4 + 0.5 * texture(0, SIZE)
    for area in areas:
        image = np.where(area, 0.12, image)
    return grey(image)


def fitted(fold: np.ndarray, jump: tuple[float, float], bend: float = 0.0) -> Transformation:
    """A section whose right side has moved, with exact matches."""
    points = np.random.default_rng(0).uniform((0, 0), np.array(SIZE) - 1, (1500, 2))
    points = points[~fold[tuple(np.rint(points).astype(int).T)]]
    targets = points + bend * (points - (200, 160)) + np.where(side(*points.T)[:, None] > 0, jump, 0.0)
    return MovingLeastSquares(grid_nodes=64).prepare(SIZE, fold)(points, targets)


def test_plain_tissue_has_no_candidates() -> None:
    for seed in range(4):
        found = FoldDetector().candidates(grey(texture(seed, SIZE)))
        assert found.shape == SIZE
        assert found.dtype == np.int32
        assert not found.any()


@pytest.mark.parametrize("band", [BAND, ENDING], ids=["whole", "ending"])
def test_dark_curved_band_is_a_candidate(band: np.ndarray) -> None:
    found = FoldDetector().candidates(darkened(band))
    assert set(np.unique(found)) == {0, 1}
    assert (found > 0)[band].mean() > 0.95
    assert binary_dilation(band, iterations=8)[found > 0].mean() > 0.99


def test_round_dark_bodies_are_none() -> None:
    assert not FoldDetector().candidates(darkened(BLOBS)).any()
    found = FoldDetector().candidates(darkened(BAND, BLOBS))
    assert (found > 0)[BAND].mean() > 0.95
    assert not (found > 0)[BLOBS].any()


def test_two_bands_are_two_candidates() -> None:
    second = (np.abs(X - 330) < 5) & (Y > 40) & (Y < 290)
    found = FoldDetector().candidates(darkened(BAND, second))
    assert set(np.unique(found)) == {0, 1, 2}
    numbers = [set(np.unique(found[area])) - {0} for area in (BAND, second)]
    assert numbers in ([{1}, {2}], [{2}, {1}])


def test_short_bands_and_pale_bands_are_none() -> None:
    assert not FoldDetector().candidates(darkened(BAND & (Y > 130) & (Y < 180))).any()
    pale = np.where(BAND, 0.97 * darkened(), darkened()).astype(np.uint8)
    assert not FoldDetector().candidates(pale).any()


def test_settings_decide_what_is_a_candidate() -> None:
    image = darkened(ENDING)
    assert FoldDetector(min_length=0.4).candidates(image).any()
    assert not FoldDetector(min_length=0.6).candidates(image).any()
    assert not FoldDetector(min_slenderness=60).candidates(image).any()
    assert not FoldDetector(darkness=50).candidates(image).any()


def test_large_sections_are_looked_at_reduced() -> None:
    large = np.kron(darkened(BAND), np.ones((3, 3), np.uint8))
    found = FoldDetector().candidates(large)
    band = np.kron(BAND, np.ones((3, 3), bool))
    assert found.shape == (1200, 960)
    assert (found > 0)[band].mean() > 0.95
    assert binary_dilation(band, iterations=24)[found > 0].mean() > 0.99


@pytest.mark.parametrize("jump", [(15, 0), (-12, 9), (0, 20), (0, 0)])
@pytest.mark.parametrize("bend", [0.0, 0.08])
def test_displacement_across_is_the_jump(jump: tuple[float, float], bend: float) -> None:
    measured = displacement_across(BAND, fitted(BAND, jump, bend))
    assert measured == pytest.approx(np.hypot(*jump), abs=1.5)


def test_displacement_of_what_has_no_two_sides_is_none() -> None:
    border = X < 12
    assert displacement_across(border, fitted(border, (15, 0))) == 0
    assert displacement_across(np.zeros(SIZE, bool), fitted(np.zeros(SIZE, bool), (0, 0))) == 0


def test_confirmed_keeps_a_band_whose_sides_moved() -> None:
    finder = FoldDetector()
    candidates = finder.candidates(darkened(BAND))
    np.testing.assert_array_equal(finder.confirmed(candidates, fitted(candidates > 0, (14, 5))), candidates > 0)
    kept = finder.confirmed(candidates, fitted(candidates > 0, (1, 1)))
    assert kept.dtype == bool
    assert not kept.any()


def test_confirmed_judges_each_candidate() -> None:
    vessel = (np.abs(X - 330) < 5) & (Y > 40) & (Y < 290)
    finder = FoldDetector()
    candidates = finder.candidates(darkened(BAND, vessel))
    kept = finder.confirmed(candidates, fitted(candidates > 0, (14, 5)))
    assert kept[BAND].mean() > 0.95
    assert not kept[vessel].any()


def test_displacement_that_is_asked_for() -> None:
    candidates = BAND.astype(np.int32)
    transformation = fitted(BAND, (12, 0))
    assert FoldDetector(min_displacement=8 / 400).confirmed(candidates, transformation).any()
    assert not FoldDetector(min_displacement=16 / 400).confirmed(candidates, transformation).any()


def test_without_candidates_there_are_no_folds() -> None:
    kept = FoldDetector().confirmed(np.zeros(SIZE, np.int32), Transformation.affine(SIZE, np.eye(2, 3)))
    assert kept.shape == SIZE
    assert not kept.any()


@pytest.mark.parametrize("name", ["darkness", "min_length", "min_slenderness", "min_displacement"])
@pytest.mark.parametrize("value", [0, -0.5, float("nan")])
def test_bad_arguments(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} .*got {value!r}$"):
        FoldDetector(**{name: value})
