from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_laplace

from scripts.inference import PixelSizeEstimator, candidate_pixel_sizes

WIDTH = 250.0
"""Of the discs that stand for mitochondria, in nanometres."""
NETWORK_PIXEL_SIZE = 10.0
CANDIDATES = candidate_pixel_sizes(2, 24, 9)


def discs(pixel_size: float, size: int = 400, width: float = WIDTH, seed: int = 0) -> torch.Tensor:
    """A section (1, size, size) with dark discs that do not touch."""
    rng = np.random.default_rng(seed)
    radius, step = width / 2 / pixel_size, 2.2 * width / pixel_size
    grid = np.stack(np.mgrid[:size, :size], axis=-1).astype(float)
    image = np.ones((size, size))
    for cell in np.ndindex(*(2 * [int(size / step) + 2])):
        centre = step * (np.array(cell) + rng.uniform(-0.2, 0.2, 2))
        image[np.hypot(*np.moveaxis(grid - centre, -1, 0)) < radius] = 0
    return torch.from_numpy(image + 0.05 * rng.normal(size=image.shape)).float()[None]


def finds_discs(tiles: torch.Tensor) -> torch.Tensor:
    """A network that knows discs of `WIDTH`: their scale-normalised Laplacian is the largest (Lindeberg 1998)."""
    sigma = WIDTH / NETWORK_PIXEL_SIZE / 2 / 2**0.5
    response = [sigma**2 * gaussian_laplace(tile.numpy(), sigma, mode="reflect") for tile in tiles[:, 0]]
    return torch.from_numpy(np.stack(response)).clamp(0, 1)


def estimator(score=finds_discs, **settings) -> PixelSizeEstimator:
    return PixelSizeEstimator(score, NETWORK_PIXEL_SIZE, **{"candidates": CANDIDATES, "tile_size": 128, **settings})


@pytest.mark.slow
@pytest.mark.parametrize("pixel_size", [3.3, 5.0, 7.7, 12.0])
def test_the_size_at_which_the_network_knows_the_tissue_is_found(pixel_size: float) -> None:
    under_test = estimator()
    for seed in range(2):
        under_test.add(discs(pixel_size, size=round(3000 / pixel_size), seed=seed))
    estimate = under_test.estimate()
    assert estimate.doubt is None
    assert estimate.pixel_size == pytest.approx(pixel_size, rel=0.15)
    low, high = estimate.span
    assert low <= estimate.pixel_size <= high < 1.25 * low
    # between the candidates
    assert abs(estimate.candidates - estimate.pixel_size).min() > 0


def test_the_axes_may_differ() -> None:
    under_test = estimator()
    under_test.add(discs(5.0, size=700)[:, :300])
    assert under_test.estimate().pixel_size == pytest.approx(5.0, rel=0.15)


def test_no_scale_of_a_section_is_left_out_but_those_at_which_it_is_too_small() -> None:
    under_test = estimator()
    under_test.add(discs(8.0, size=200))
    estimate = under_test.estimate()
    # 96 pixels of 10 nm are wanted
    assert np.isfinite(estimate.sureness).tolist() == [200 * c >= 960 for c in CANDIDATES]
    assert np.isfinite(estimate.found).tolist() == np.isfinite(estimate.sureness).tolist()


def test_as_many_tiles_as_asked_for_are_shown_at_the_network_s_pixel_size() -> None:
    shown = []

    def score(tiles: torch.Tensor) -> torch.Tensor:
        shown.append(tuple(tiles.shape))
        return tiles[:, 0]

    estimator(score, tile_size=128, tiles=3, candidates=[5.0, 10.0, 12.5, 20.0, 40.0]).add(torch.rand(1, 300, 256))
    # 5 nm: the whole section, which is smaller than one tile
    assert shown == [(2, 1, 128, 128), (3, 1, 128, 128), (3, 1, 128, 128), (3, 1, 128, 128), (3, 1, 128, 128)]


@pytest.mark.parametrize(("ends", "end"), [((6.5, 24), "smallest"), ((1.5, 4), "largest")])
def test_a_maximum_at_an_end_is_no_answer(ends: tuple, end: str) -> None:
    under_test = estimator(candidates=candidate_pixel_sizes(*ends, 7))
    under_test.add(discs(5.0, size=700))
    estimate = under_test.estimate()
    assert estimate.pixel_size is None
    assert end in estimate.doubt


def test_a_flat_curve_is_no_answer() -> None:
    under_test = estimator(lambda tiles: torch.full_like(tiles[:, 0], 0.8))
    under_test.add(discs(5.0))
    estimate = under_test.estimate()
    assert estimate.pixel_size is None
    assert "equally sure at all scales" in estimate.doubt
    np.testing.assert_allclose(estimate.sureness[1:], 0.8, rtol=1e-6)


def test_a_curve_that_does_not_fall_on_one_side_is_no_answer() -> None:
    """Such as that of a network that is as sure of larger mitochondria as of those that it knows."""
    levels = iter([0.5, 0.6, 0.7, 0.8, 0.805, *5 * [0.8]])
    under_test = estimator(lambda tiles: torch.full_like(tiles[:, 0], next(levels)))
    under_test.add(discs(5.0))
    estimate = under_test.estimate()
    assert estimate.pixel_size is None
    assert "larger pixel sizes" in estimate.doubt


@pytest.mark.parametrize("value", [0.0, 0.001, 0.2])
def test_where_nothing_is_found_there_is_no_answer(value: float) -> None:
    under_test = estimator(lambda tiles: torch.full_like(tiles[:, 0], value))
    under_test.add(discs(5.0))
    estimate = under_test.estimate()
    assert estimate.pixel_size is None
    assert "mitochondria" in estimate.doubt


def test_tiles_that_contradict_each_other_are_no_answer() -> None:
    under_test = estimator(tiles=2)
    under_test.add(discs(3.0))
    under_test.add(discs(9.0))
    estimate = under_test.estimate()
    assert estimate.pixel_size is None
    assert "do not agree" in estimate.doubt
    assert estimate.span[0] < 4 < 8 < estimate.span[1]


def test_tiny_sections_are_no_answer() -> None:
    under_test = estimator()
    under_test.add(discs(5.0, size=50))
    estimate = under_test.estimate()
    assert estimate.pixel_size is None
    assert "too small" in estimate.doubt


def test_no_section_is_no_answer() -> None:
    assert estimator().estimate().pixel_size is None


def test_two_estimators_are_as_one_that_saw_all() -> None:
    one, other, both = estimator(), estimator(), estimator()
    one.add(discs(5.0, seed=0))
    other.add(discs(5.0, seed=1))
    for seed in range(2):
        both.add(discs(5.0, seed=seed))
    one.add_all(other)
    np.testing.assert_array_equal(one.estimate().sureness, both.estimate().sureness)


def test_candidates() -> None:
    candidates = candidate_pixel_sizes(2, 32, 5)
    assert candidates == pytest.approx([2, 4, 8, 16, 32])


@pytest.mark.parametrize("arguments", [(0, 24, 12), (24, 2, 12), (2, 2, 12), ("2", 24, 12), (2, float("inf"), 12)])
def test_ends_that_are_none_are_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="smallest and largest"):
        candidate_pixel_sizes(*arguments)


@pytest.mark.parametrize("count", [4, 12.0, True])
def test_too_few_candidates_are_refused(count: object) -> None:
    with pytest.raises(ValueError, match="count must be"):
        candidate_pixel_sizes(2, 24, count)


@pytest.mark.parametrize("candidates", [[2, 4, 8, 16], [2, 4, 8, 8, 16], [16, 8, 4, 2, 1], [0, 2, 4, 8, 16]])
def test_bad_candidates_are_refused(candidates: list) -> None:
    with pytest.raises(ValueError, match="candidates must be"):
        estimator(candidates=candidates)


@pytest.mark.parametrize("settings", [{"tiles": 0}, {"tiles": 1.5}, {"tile_size": 64}])
def test_bad_tiles_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        estimator(**settings)
