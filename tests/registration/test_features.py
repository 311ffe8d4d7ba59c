from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import affine_transform
from textures import grey, mapped, texture, turned

from scripts.registration import SIFTFeatures
from scripts.registration.features import Features, match_descriptors

SIZE = (260, 200)


def window(x: int, y: int, seed: int = 0) -> np.ndarray:
    """A part of a larger texture."""
    return grey(texture(seed, (320, 260))[30 + x : 30 + x + SIZE[0], 30 + y : 30 + y + SIZE[1]])


def rotated(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    return grey(affine_transform(image / 255, inverse[:2, :2], inverse[:2, 2], order=3, mode="mirror"))


@pytest.fixture(scope="module")
def finder() -> SIFTFeatures:
    return SIFTFeatures(2000, 0.02)


def test_features_are_what_they_are_said_to_be(finder: SIFTFeatures) -> None:
    features = finder(window(0, 0))
    assert len(features) > 300
    assert features.points.shape == (len(features), 2)
    assert features.points.dtype == np.float64
    assert features.descriptors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1, atol=1e-3)
    assert (features.sizes > 0).all()
    assert (features.points > -1).all()
    assert (features.points.max(axis=0) > (200, 150)).all()  # x goes along the first axis
    assert (features.points < SIZE).all()


def test_whichever_features_are_taken_out_belong_together(finder: SIFTFeatures) -> None:
    features = finder(window(0, 0))
    some = features[np.array([5, 2])]
    assert isinstance(some, Features)
    assert len(some) == 2
    for name in ("points", "descriptors", "sizes"):
        np.testing.assert_array_equal(getattr(some, name), getattr(features, name)[[5, 2]])


def test_most_keeps_the_strongest() -> None:
    few, many = (SIFTFeatures(most, 0.02)(window(0, 0)) for most in (50, 2000))
    assert 45 <= len(few) <= 60
    assert len(many) > 5 * len(few)


def test_contrast_leaves_out_the_weak() -> None:
    faint = (128 + 0.15 * (window(0, 0).astype(float) - 128)).astype(np.uint8)
    assert len(SIFTFeatures(2000, 0.08)(faint)) < 0.5 * len(SIFTFeatures(2000, 0.005)(faint))


def test_nothing_is_found_in_blank_sections(finder: SIFTFeatures) -> None:
    nothing = finder(np.full(SIZE, 140, np.uint8))
    assert len(nothing) == 0
    assert nothing.points.shape == (0, 2)
    assert nothing.descriptors.shape == (0, 128)
    for pair in ((nothing, nothing), (nothing, finder(window(0, 0))), (finder(window(0, 0)), nothing)):
        assert match_descriptors(*pair, 0.9).shape == (0, 2)


def test_nothing_is_found_where_it_is_hidden(finder: SIFTFeatures) -> None:
    hidden = np.zeros(SIZE, bool)
    hidden[100:, :80] = True
    features = finder(window(0, 0), hidden)
    x, y = np.rint(features.points).astype(int).T
    assert not hidden[x, y].any()
    everything = finder(window(0, 0))
    x, y = np.rint(everything.points).astype(int).T
    assert hidden[x, y].sum() > 30
    assert len(features) >= 0.9 * (~hidden[x, y]).sum()


@pytest.mark.parametrize("offset", [(17, -9), (-20, 14)])
def test_shifted_tissue_is_matched_at_its_offset(finder: SIFTFeatures, offset: tuple[int, int]) -> None:
    moving, fixed = finder(window(0, 0)), finder(window(*offset))
    pairs = match_descriptors(moving, fixed, 0.85)
    off = moving.points[pairs[:, 0]] - fixed.points[pairs[:, 1]] - offset
    assert len(pairs) > 100
    assert np.mean(np.linalg.norm(off, axis=1) < 1) > 0.9


@pytest.mark.parametrize("degrees", [25, 90, -140])
def test_turned_tissue_is_matched(finder: SIFTFeatures, degrees: float) -> None:
    matrix = turned(degrees, (130.0, 100.0))
    image = window(0, 0)
    moving, fixed = finder(image), finder(rotated(image, matrix))
    pairs = match_descriptors(moving, fixed, 0.85)
    off = mapped(matrix, moving.points[pairs[:, 0]]) - fixed.points[pairs[:, 1]]
    assert (np.linalg.norm(off, axis=1) < 1.5).sum() > 60
    assert np.mean(np.linalg.norm(off, axis=1) < 1.5) > 0.7


def test_stricter_ratio_takes_fewer_and_better_pairs(finder: SIFTFeatures) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(window(12, 5) + rng.normal(0, 25, SIZE), 0, 255).astype(np.uint8)
    moving, fixed = finder(window(0, 0)), finder(noisy)

    def right(ratio: float) -> tuple[int, float]:
        pairs = match_descriptors(moving, fixed, ratio)
        off = moving.points[pairs[:, 0]] - fixed.points[pairs[:, 1]] - (12, 5)
        return len(pairs), float(np.mean(np.linalg.norm(off, axis=1) < 1.5))

    (few, pure), (many, mixed) = right(0.75), right(0.98)
    assert 20 < few < 0.7 * many
    assert pure > mixed + 0.1


def test_pairs_are_of_like_size() -> None:
    rng = np.random.default_rng(0)
    descriptors = np.eye(128, dtype=np.float32)[:6]
    points = rng.uniform(0, 100, (6, 2))
    sizes = np.array([4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    moving = Features(points, descriptors, sizes)
    fixed = Features(points, descriptors, sizes * [1.0, 1.3, 1.6, 1 / 1.3, 1 / 1.6, 3.0])
    assert {tuple(pair) for pair in match_descriptors(moving, fixed, 0.9)} == {(0, 0), (1, 1), (3, 3)}


def test_most_looks_at_the_largest_features_only(finder: SIFTFeatures) -> None:
    features = finder(window(0, 0))
    pairs = match_descriptors(features, features, 0.85, n_features=100)
    least = np.sort(features.sizes)[-100]
    assert 0 < len(pairs) <= 100
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])
    assert (features.sizes[pairs] >= least).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_features", 9), ("n_features", 99.5), ("contrast_threshold", -0.1), ("contrast_threshold", float("nan"))],
)
def test_bad_arguments(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} .*got {value!r}$"):
        SIFTFeatures(**{name: value})
