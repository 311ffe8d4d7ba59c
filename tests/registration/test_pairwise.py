from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from textures import grey, pixels, texture

from scripts.phantom import Deformation
from scripts.registration import (
    FoldDetector,
    MovingLeastSquares,
    Neighbour,
    PairRegistration,
    RegistrationError,
    SIFTFeatures,
    Transformation,
)

pytestmark = pytest.mark.slow

SIZE = (360, 300)
BORDER = 60


def registration(**arguments: Any) -> PairRegistration:
    settings = {
        "fold_detector": FoldDetector(),
        "patch_size": 32,
        "patch_step": 14,
        "search_radii": (16, 8, 5),
    } | arguments
    return PairRegistration(SIFTFeatures(2000, 0.02), MovingLeastSquares(grid_nodes=48), **settings)


def neighbour(seed: int = 0) -> Neighbour:
    image = texture(seed, tuple(n + 2 * BORDER for n in SIZE))
    return Neighbour(grey(image[BORDER:-BORDER, BORDER:-BORDER]), np.zeros(SIZE, bool))


def deformed(deformation: Deformation, seed: int = 0) -> np.ndarray:
    """The section as it was imaged, with some noise."""
    tissue = texture(seed, tuple(n + 2 * BORDER for n in SIZE))
    image, _ = deformation.apply(tissue, np.zeros(tissue.shape, np.uint8))
    return grey(image + np.random.default_rng(1).normal(0, 0.02, SIZE))


def drawn(seed: int, fold: bool) -> Deformation:
    return Deformation.random(SIZE, np.random.default_rng(seed), misalign=True, fold=fold)


def start() -> Transformation:
    return Transformation.affine(SIZE, np.eye(2, 3))


def errors(transformation: Transformation, deformation: Deformation) -> np.ndarray:
    """Pixels by which tissue comes to lie beside its place, NaN under folds and where the neighbour shows nothing."""
    places = pixels(SIZE) + np.moveaxis(deformation.displacement, 0, -1)
    error = np.linalg.norm(transformation.forward(pixels(SIZE).reshape(-1, 2)).reshape(places.shape) - places, axis=-1)
    shown = ((places >= 0) & (places <= np.array(SIZE) - 1)).all(axis=-1)
    return np.where(shown & ~deformation.fold, error, np.nan)


@pytest.mark.parametrize("seed", [10, 11])
def test_smooth_deformation_is_found_to_a_pixel(seed: int) -> None:
    truth = drawn(seed, fold=False)
    result = registration()(deformed(truth), [neighbour()], start())
    error = errors(result.transformation, truth)
    assert np.nanmedian(errors(start(), truth)) > 5
    assert np.nanmedian(error) < 0.3
    assert np.nanpercentile(error, 99) < 1
    assert np.isfinite(error).mean() > 0.75
    assert result.transformation.fold is None
    quality = result.quality
    assert quality.models >= 1
    assert quality.features >= quality.inliers
    assert quality.matches >= quality.inliers > 100
    assert quality.patches > 100
    assert quality.residual_after < 0.5
    assert quality.residual_before > 5
    assert quality.correlation_after > 0.9
    assert quality.correlation_before < 0.5
    assert quality.fold_fraction == quality.folded_cells == 0


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("seed", [10, 11])
def test_folded_section_is_found_to_a_pixel_on_both_sides(seed: int, given: bool) -> None:
    truth = drawn(seed, fold=True)
    result = registration()(deformed(truth), [neighbour()], start(), truth.fold if given else None)
    error = errors(result.transformation, truth)
    assert np.nanmedian(error) < 0.3
    assert np.nanpercentile(error, 97) < 1
    beside = truth.edge < 8
    assert np.nanmedian(error[beside]) < 0.7
    found = result.transformation.fold
    if given:
        np.testing.assert_array_equal(found, truth.fold)
    else:
        assert found[truth.fold].mean() > 0.8
        assert (truth.edge[found] < 6).mean() > 0.97
    assert result.quality.fold_fraction == pytest.approx(found.mean())
    # the jump was there to be found
    smooth = registration(fold_detector=None)(deformed(truth), [neighbour()], start())
    assert np.nanmedian(errors(smooth.transformation, truth)[beside]) > 3


def test_dark_vessel_is_no_fold() -> None:
    truth = drawn(10, fold=False)
    x, y = np.moveaxis(pixels(SIZE), -1, 0)
    vessel = np.abs(x - 150 - 20 * np.sin(y / 50)) < 5
    vessel &= (y > 30) & (y < 270)
    image = np.where(vessel, 25, deformed(truth)).astype(np.uint8)
    assert FoldDetector().candidates(image).any()
    result = registration()(image, [neighbour()], start())
    assert result.transformation.fold is None
    assert result.quality.fold_fraction == 0
    assert np.nanpercentile(errors(result.transformation, truth)[~vessel], 97) < 1


def test_same_sections_give_the_same_transformation() -> None:
    image = deformed(drawn(10, fold=True))
    first, second = (registration()(image, [neighbour()], start()) for _ in range(2))
    np.testing.assert_array_equal(first.transformation.values, second.transformation.values)
    np.testing.assert_array_equal(first.transformation.fold, second.transformation.fold)
    assert first.quality == second.quality


def test_farther_neighbour_helps_where_the_nearest_shows_nothing() -> None:
    truth = drawn(10, fold=False)
    near = neighbour()
    unknown = np.zeros(SIZE, bool)
    unknown[:, 150:] = True
    torn = Neighbour(np.where(unknown, 0, near.image).astype(np.uint8), unknown)
    alone, helped = (
        np.nanpercentile(errors(registration()(deformed(truth), which, start()).transformation, truth), 97)
        for which in ([torn], [torn, near])
    )
    assert helped < 1
    assert alone > 2 * helped


def test_blank_section_is_refused() -> None:
    noise = np.random.default_rng(0).normal(200, 1, SIZE)
    for image in (np.full(SIZE, 200, np.uint8), np.rint(noise).astype(np.uint8)):
        with pytest.raises(RegistrationError, match="100% of the section shows no tissue; it is blank or torn"):
            registration()(image, [neighbour()], start())


def test_torn_section_is_refused() -> None:
    image = deformed(drawn(10, fold=False))
    image[70:] = 200
    with pytest.raises(RegistrationError, match=r"(7|8)\d% of the section shows no tissue"):
        registration()(image, [neighbour()], start())


@pytest.mark.parametrize("seed", [1, 2])
def test_unrelated_section_is_refused(seed: int) -> None:
    with pytest.raises(
        RegistrationError, match=r"too few matches: the \d+ pairs among \d+ and \d+ features agree on no"
    ):
        registration()(neighbour(seed).image, [neighbour()], start())


def test_section_folded_over_most_of_its_area_is_refused() -> None:
    fold = np.zeros(SIZE, bool)
    fold[:216] = True
    with pytest.raises(RegistrationError, match="60% of the section is folded"):
        registration()(deformed(drawn(10, fold=False)), [neighbour()], start(), fold)


def test_neighbour_that_shows_nothing_is_refused() -> None:
    unknown = Neighbour(np.zeros(SIZE, np.uint8), np.ones(SIZE, bool))
    with pytest.raises(RegistrationError, match=r"too few matches: .* and 0 features"):
        registration()(deformed(drawn(10, fold=False)), [unknown], start())


def test_what_fits_worse_than_before_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = registration()
    away = Transformation.affine(SIZE, np.array([[1.0, 0, 9], [0, 1, -7]]))
    monkeypatch.setattr(pair, "_round", lambda *_: (away, []))
    with pytest.raises(RegistrationError, match=r"fits worse than none: correlation .* instead of 1\.00"):
        pair(neighbour().image, [neighbour()], start())


def test_registration_error_is_a_value_error() -> None:
    assert issubclass(RegistrationError, ValueError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_ratio", 0),
        ("max_ratio", 1.0),
        ("residual_threshold", -0.1),
        ("residual_threshold", 0.5),
        ("patch_size", 8),
        ("patch_size", 40.5),
        ("patch_step", 0),
        ("patch_step", float("nan")),
    ],
)
def test_bad_arguments(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} .*got {value!r}$"):
        registration(**{name: value})


@pytest.mark.parametrize("radii", [(), (10, 1), (40.5,), (float("nan"),)])
def test_bad_radii(radii: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"^search_radii .*got "):
        registration(search_radii=radii)
