from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from scripts.crf import METHODS, dense_crf
from tests.crf.exact import agreement, disc, exact_mean_field, noise, stripes, two_classes

DEFAULTS = {
    "gaussian_sxy": 3.0,
    "gaussian_compat": 0.5,
    "bilateral_sxy": 5.0,
    "bilateral_srgb": 20.0,
    "bilateral_compat": 1.0,
    "iterations": 5,
}
GAUSSIAN_ONLY = DEFAULTS | {"gaussian_compat": 3.0, "bilateral_compat": 0.0}
BILATERAL_ONLY = DEFAULTS | {"gaussian_compat": 0.0, "bilateral_compat": 4.0}
PHOTOGRAPHS = DEFAULTS | {
    "gaussian_compat": 3.0,
    "bilateral_sxy": 40.0,
    "bilateral_srgb": 10.0,
    "bilateral_compat": 5.0,
    "iterations": 10,
}


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("shape", [(24, 20), (17, 31)])
@pytest.mark.parametrize("case", [disc, stripes])
@pytest.mark.parametrize(
    "parameters", [DEFAULTS, GAUSSIAN_ONLY, BILATERAL_ONLY, PHOTOGRAPHS], ids=["default", "gauss", "bilateral", "photo"]
)
def test_equals_exact_mean_field(
    parameters: dict[str, float],
    case: Callable[..., tuple[np.ndarray, np.ndarray]],
    shape: tuple[int, int],
    method: str,
) -> None:
    probabilities, image = case(np.random.default_rng(0), *shape)
    refined = dense_crf(probabilities, image, **parameters, method=method)
    exact = exact_mean_field(probabilities, image, **parameters)
    assert agreement(refined, exact) >= 0.99
    assert abs(refined - exact).mean() <= 0.005
    assert abs(refined - exact).max() <= 0.15  # at single pixels between two labels
    assert agreement(probabilities, exact) <= 0.96  # the CRF does far more than the tolerance


@pytest.mark.parametrize("seed", range(4))
def test_equals_exact_mean_field_on_noise(seed: int, method: str) -> None:
    probabilities, image = noise(np.random.default_rng(seed), 24, 20)
    parameters = DEFAULTS | {"gaussian_compat": 1.0, "bilateral_compat": 2.0}
    refined = dense_crf(probabilities, image, **parameters, method=method)
    exact = exact_mean_field(probabilities, image, **parameters)
    assert abs(refined - exact).max() <= 0.1
    assert abs(refined - exact).mean() <= 0.01
    decided = abs(exact[1] - exact[0]) > 0.1
    assert agreement(refined[:, decided], exact[:, decided]) >= 0.99
    assert agreement(probabilities, exact) <= 0.95


def test_order_of_the_axes_matters(method: str) -> None:
    probabilities, image = stripes(np.random.default_rng(0), 24, 20)
    refined = dense_crf(probabilities, image, **GAUSSIAN_ONLY, method=method)
    swapped = exact_mean_field(probabilities.reshape(3, 20, 24), image.reshape(1, 20, 24), **GAUSSIAN_ONLY)
    assert agreement(refined, swapped.reshape(3, 24, 20)) < 0.95
    turned = dense_crf(probabilities.transpose(0, 2, 1), image.transpose(0, 2, 1), **GAUSSIAN_ONLY, method=method)
    assert agreement(refined, turned.transpose(0, 2, 1)) >= 0.99


def test_labels_follow_the_image(method: str) -> None:
    foreground = np.full((30, 20), 0.5)
    foreground[:5], foreground[-5:] = 0.1, 0.9
    for edge in (10, 20):
        image = np.ones((1, 30, 20))
        image[:, edge:] = 0.2
        refined = dense_crf(two_classes(foreground), image, bilateral_sxy=20.0, bilateral_compat=10.0, method=method)
        assert (refined.argmax(axis=0) == (np.arange(30) >= edge)[:, np.newaxis]).all()


def test_compat_of_zero_switches_a_kernel_off(method: str) -> None:
    probabilities, image = disc(np.random.default_rng(0), 24, 20)
    without_appearance = dense_crf(probabilities, image, bilateral_compat=0, method=method)
    np.testing.assert_array_equal(
        without_appearance, dense_crf(probabilities, 1 - image / 2, bilateral_compat=0, method=method)
    )
    without_smoothness = dense_crf(probabilities, image, gaussian_compat=0, method=method)
    np.testing.assert_array_equal(
        without_smoothness, dense_crf(probabilities, image, gaussian_compat=0, gaussian_sxy=9, method=method)
    )
    without_both = dense_crf(probabilities, image, gaussian_compat=0, bilateral_compat=0, method=method)
    np.testing.assert_allclose(without_both, probabilities, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_result_is_float32_and_sums_to_one(dtype: type, method: str) -> None:
    probabilities, image = disc(np.random.default_rng(0), 24, 20)
    refined = dense_crf(probabilities.astype(dtype), image.astype(dtype), method=method)
    assert refined.dtype == np.float32
    assert refined.shape == (2, 24, 20)
    np.testing.assert_allclose(refined.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(refined, dense_crf(probabilities, image, method=method), atol=0.02)


def test_one_channel_is_the_second_of_two_classes(method: str) -> None:
    probabilities, image = disc(np.random.default_rng(0), 24, 20)
    both = dense_crf(probabilities, image, bilateral_compat=4.0, method=method)
    second = dense_crf(probabilities[1:], image, bilateral_compat=4.0, method=method)
    assert second.shape == (1, 24, 20)
    np.testing.assert_allclose(second, both[1:], atol=1e-5)
    assert np.abs(second - probabilities[1:]).max() > 0.1  # the CRF did something
    tensor = torch.from_numpy(probabilities[1:].astype(np.float32))
    overwritten = dense_crf(tensor, torch.from_numpy(image), bilateral_compat=4.0, method=method, overwrite=True)
    np.testing.assert_allclose(overwritten, second, atol=1e-6)


def test_inputs_of_any_memory_order_stay_unchanged(method: str) -> None:
    probabilities, image = disc(np.random.default_rng(0), 24, 20)
    channel_last = np.ascontiguousarray(probabilities.transpose(1, 2, 0)).transpose(2, 0, 1)
    fortran = np.asfortranarray(image)
    refined = dense_crf(channel_last, fortran, method=method)
    np.testing.assert_array_equal(refined, dense_crf(probabilities, image, method=method))
    np.testing.assert_array_equal(channel_last, probabilities)
    np.testing.assert_array_equal(fortran, image)


def test_probability_of_zero_is_no_infinite_energy(method: str) -> None:
    foreground = np.zeros((20, 20))
    foreground[:, 10:] = 1
    foreground[5, 5] = 1
    image = np.zeros((1, 20, 20))
    refined = dense_crf(two_classes(foreground), image, gaussian_compat=20.0, method=method)
    assert np.isfinite(refined).all()
    assert refined[1, 5, 5] < 0.5  # not even a certain pixel stands alone against a strong neighbourhood
    assert refined[1, 5, 15] > 0.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 3)])
def test_smallest_sections(shape: tuple[int, int], method: str) -> None:
    probabilities = two_classes(np.full(shape, 0.9))
    assert (dense_crf(probabilities, np.full((1, *shape), 0.5), method=method).argmax(axis=0) == 1).all()


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "3", None, True, (3.0, 3.0)])
@pytest.mark.parametrize("name", ["gaussian_sxy", "bilateral_sxy", "bilateral_srgb"])
def test_refuses_width(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be a finite number above 0, but got .*{value}"):
        dense_crf(two_classes(np.full((4, 5), 0.5)), np.zeros((1, 4, 5)), **{name: value})


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e39, "3", None, True, np.ones(3)])
@pytest.mark.parametrize("name", ["gaussian_compat", "bilateral_compat"])
def test_refuses_compat(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a number from 0 to 1e.06, but got"):
        dense_crf(two_classes(np.full((4, 5), 0.5)), np.zeros((1, 4, 5)), **{name: value})


@pytest.mark.parametrize("value", [0, -1, 2.0, float("nan"), "5", None, True, 2**31])
def test_refuses_iterations(value: object) -> None:
    with pytest.raises(ValueError, match=f"iterations must be an int of at least 1.*, but got .*{value}"):
        dense_crf(two_classes(np.full((4, 5), 0.5)), np.zeros((1, 4, 5)), iterations=value)


@pytest.mark.parametrize("value", ["Grid", "", None, 1, ["grid"]])
def test_refuses_method(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"method must be one of grid, permutohedral, but got .*" + re.escape(str(value))
    ):
        dense_crf(two_classes(np.full((4, 5), 0.5)), np.zeros((1, 4, 5)), method=value)


@pytest.mark.parametrize("name", ["gaussian_sxy", "bilateral_sxy", "bilateral_srgb"])
def test_refuses_width_that_overflows_the_lattice(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} 0\.001.*too small for a section of this size"):
        dense_crf(two_classes(np.full((40, 30), 0.5)), np.zeros((1, 40, 30)), method="permutohedral", **{name: 0.001})


@pytest.mark.parametrize("shape", [(4, 5), (1, 2, 4, 5), (2, 0, 5), (2, 4, 0), (0, 4, 5)], ids=lambda shape: str(shape))
def test_refuses_shape_of_probabilities(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"probabilities must be \(C, W, H\) of at least 1 class .*got shape \("):
        dense_crf(np.full(shape, 0.5), np.zeros((1, *shape[-2:])))


@pytest.mark.parametrize("shape", [(1, 5, 4), (4, 5), (3, 4, 5), (1, 4, 6), (1, 1, 4, 5)], ids=lambda shape: str(shape))
def test_refuses_shape_of_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"image must be \(1, 4, 5\) beside probabilities of shape \(2, 4, 5\), but got"
    ):
        dense_crf(two_classes(np.full((4, 5), 0.5)), np.zeros(shape))


def test_refuses_more_pixels_than_the_library_can_index() -> None:
    probabilities = np.broadcast_to(np.float32(0.5), (2, 23200, 23200))
    with pytest.raises(ValueError, match=r"\(2, 23200, 23200\).*32-bit"):
        dense_crf(probabilities, np.broadcast_to(np.float32(0.5), (1, 23200, 23200)), method="permutohedral")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, complex])
def test_refuses_type(dtype: type) -> None:
    probabilities, image = two_classes(np.full((4, 5), 0.5)), np.zeros((1, 4, 5))
    with pytest.raises(ValueError, match=f"image must be of a floating point type.*{np.dtype(dtype)}"):
        dense_crf(probabilities, image.astype(dtype))
    with pytest.raises(ValueError, match=f"probabilities must be of a floating point type.*{np.dtype(dtype)}"):
        dense_crf(probabilities.astype(dtype), image)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.5, 1.5])
def test_refuses_values(value: float) -> None:
    probabilities, image = two_classes(np.full((4, 5), 0.5)), np.zeros((1, 4, 5))
    wrong_image = image.copy()
    wrong_image[0, 1, 2] = value
    with pytest.raises(ValueError, match=rf"image must be finite and in \[0, 1\], but got values from .*{value}"):
        dense_crf(probabilities, wrong_image)
    probabilities[:, 1, 2] = value, 1 - value
    with pytest.raises(
        ValueError, match=rf"probabilities must be finite and in \[0, 1\], but got values from .*{value}"
    ):
        dense_crf(probabilities, image)


def test_refuses_probabilities_that_do_not_sum_to_one() -> None:
    probabilities = two_classes(np.full((4, 5), 0.5))
    probabilities[1, 2, 3] = 0.8
    with pytest.raises(ValueError, match=r"probabilities must sum to 1.*from 1\.0 to 1\.2999"):
        dense_crf(probabilities, np.zeros((1, 4, 5)))
