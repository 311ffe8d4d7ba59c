from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from textures import mapped, pixels, shifted, turned

from scripts.registration import MovingLeastSquares, Transformation
from scripts.registration.lattice import Lattice
from scripts.registration.moving_least_squares import _freely, fit_robustly

SIZE = (240, 180)
MIDDLE = (120.0, 90.0)
RIGID = shifted(turned(8, MIDDLE), 5, -7)
SIMILARITY = shifted(turned(-5, MIDDLE, 1.08), -4, 3)
AFFINE = np.array([[1.06, 0.05, -9.0], [-0.03, 0.95, 6.0]])


def scattered(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform((0, 0), np.array(SIZE) - 1, (count, 2))


def errors(transformation: Transformation, points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.linalg.norm(transformation.forward(points) - targets, axis=-1)


def band(width: float = 3.0) -> np.ndarray:
    """A curved fold from border to border."""
    x, y = np.moveaxis(pixels(SIZE), -1, 0)
    return np.abs(x - middle_of_band(y)) <= width


def middle_of_band(y: np.ndarray) -> np.ndarray:
    return 115 + 14 * np.sin(y / 40)


def torn(points: np.ndarray) -> np.ndarray:
    """The two sides of the band, each with its own map."""
    left = points[:, :1] < middle_of_band(points[:, 1:])
    return np.where(left, mapped(RIGID, points), mapped(shifted(turned(-4, MIDDLE), 20, 10), points))


@pytest.mark.parametrize(
    ("model", "matrix"),
    [
        ("rigid", RIGID),
        ("similarity", RIGID),
        ("similarity", SIMILARITY),
        ("affine", RIGID),
        ("affine", SIMILARITY),
    ],
)
def test_recovers_exact_maps(model: str, matrix: np.ndarray) -> None:
    points = scattered(150)
    transformation = MovingLeastSquares(model, grid_nodes=32).prepare(SIZE)(points, mapped(matrix, points))
    everywhere = pixels(SIZE).reshape(-1, 2)
    assert errors(transformation, everywhere, mapped(matrix, everywhere)).max() < 1e-6
    np.testing.assert_allclose(
        transformation.linear, np.broadcast_to(matrix[:, :2], (*transformation.lattice.shape, 2, 2))
    )


def test_affine_model_recovers_shear_but_for_its_ridge() -> None:
    points = scattered(400)
    everywhere = pixels(SIZE).reshape(-1, 2)
    error = {
        model: errors(
            MovingLeastSquares(model, grid_nodes=32).prepare(SIZE)(points, mapped(AFFINE, points)),
            everywhere,
            mapped(AFFINE, everywhere),
        )
        for model in ("affine", "similarity", "rigid")
    }
    assert error["affine"].max() < 0.05
    assert min(error["similarity"].max(), error["rigid"].max()) > 0.5


@pytest.mark.parametrize("model", ["affine", "similarity", "rigid"])
def test_linear_parts_are_of_the_model(model: str) -> None:
    points = scattered(200)
    bent = mapped(AFFINE, points) + 6 * np.sin(points[:, ::-1] / 30)
    linear = MovingLeastSquares(model, grid_nodes=32).prepare(SIZE)(points, bent).linear.reshape(-1, 2, 2)
    square = linear.swapaxes(1, 2) @ linear
    stretches = np.linalg.svd(linear, compute_uv=False)
    conformal = np.abs(square / (stretches**2).mean(axis=1)[:, None, None] - np.eye(2)).max()
    assert (conformal < 1e-9) == (model != "affine")
    assert (np.abs(stretches - 1).max() < 1e-9) == (model == "rigid")


def test_bend_is_followed() -> None:
    points = scattered(1500)

    def bent(at: np.ndarray) -> np.ndarray:
        return at + 4 * np.sin(at[:, ::-1] / 35)

    transformation = MovingLeastSquares(grid_nodes=48).prepare(SIZE)(points, bent(points))
    inner = pixels(SIZE)[10:-10, 10:-10].reshape(-1, 2)
    assert errors(transformation, inner, bent(inner)).max() < 0.4


def test_noise_is_averaged_the_more_the_smoother() -> None:
    points = scattered(3000)
    targets = mapped(SIMILARITY, points) + np.random.default_rng(1).normal(0, 1, points.shape)
    inner = pixels(SIZE)[15:-15, 15:-15].reshape(-1, 2)
    deformation = MovingLeastSquares(kernel_radius=0.03, grid_nodes=32)
    rough, smooth = (
        np.sqrt((errors(d.prepare(SIZE)(points, targets), inner, mapped(SIMILARITY, inner)) ** 2).mean())
        for d in (deformation, deformation.smoother(4))
    )
    assert rough < 0.5
    assert smooth < 0.5 * rough


def test_weights_say_which_matches_count() -> None:
    points = scattered(600)
    targets = mapped(RIGID, points)
    wrong = np.arange(600) % 3 == 0
    targets[wrong] += 40
    fit = MovingLeastSquares(grid_nodes=32).prepare(SIZE)
    inner = pixels(SIZE)[10:-10, 10:-10].reshape(-1, 2)
    assert errors(fit(points, targets, np.where(wrong, 0.0, 0.7)), inner, mapped(RIGID, inner)).max() < 1e-6
    assert np.median(errors(fit(points, targets), inner, mapped(RIGID, inner))) > 5
    equal = fit(points, targets, np.full(600, 0.3))
    np.testing.assert_allclose(equal.values, fit(points, targets).values, atol=1e-6)


@pytest.mark.parametrize("factor", [1, 2])
def test_both_sides_of_a_fold_are_recovered(factor: int) -> None:
    fold = band()
    points = scattered(900)
    points = points[~fold[tuple(np.rint(points).astype(int).T)]]
    fit = MovingLeastSquares(grid_nodes=60).prepare(SIZE, fold if factor == 1 else fold[::2, ::2] | fold[1::2, 1::2])
    everywhere = pixels(SIZE).reshape(-1, 2)
    error = errors(fit(points, torn(points)), everywhere, torn(everywhere))
    seen = np.isfinite(error)
    assert seen.mean() > 0.93
    off = np.abs(everywhere[:, 0] - middle_of_band(everywhere[:, 1]))
    assert error[seen & (off < 15)].max() < 1
    assert error[seen].max() < 1
    assert not seen[off < 1].any()


def test_straight_weights_mix_the_sides_of_a_fold() -> None:
    fold = band()
    points = scattered(900)
    straight = MovingLeastSquares(grid_nodes=60, fold_aware=False).prepare(SIZE, fold)(points, torn(points))
    everywhere = pixels(SIZE).reshape(-1, 2)
    error = errors(straight, everywhere, torn(everywhere))
    off = np.abs(everywhere[:, 0] - middle_of_band(everywhere[:, 1]))
    assert np.median(error[np.isfinite(error) & (off < 6)]) > 5
    assert error[np.isfinite(error) & (off > 60)].max() < 1


def test_fold_that_ends_inside_tears_up_to_its_tip_only() -> None:
    tip = 90
    fold = np.zeros(SIZE, bool)
    fold[117:124, :tip] = True

    def opened(at: np.ndarray) -> np.ndarray:
        gap = 14 * np.clip(1 - at[:, 1] / tip, 0, 1)
        return at + np.stack([gap * np.tanh((at[:, 0] - 120) / 0.5), np.zeros(len(at))], axis=1)

    points = scattered(1500)
    points = points[~fold[tuple(np.rint(points).astype(int).T)]]
    transformation = MovingLeastSquares(grid_nodes=60).prepare(SIZE, fold)(points, opened(points))
    everywhere = pixels(SIZE)
    moved = transformation.forward(everywhere.reshape(-1, 2)).reshape(everywhere.shape)
    error = np.linalg.norm(moved - opened(everywhere.reshape(-1, 2)).reshape(everywhere.shape), axis=-1)
    np.testing.assert_array_equal(np.isnan(error), fold)
    assert np.nanmax(error[:, : tip - 25]) < 1
    gap = moved[124] - moved[116]
    assert gap[5, 0] > 8 + 20  # torn at the border
    steps = np.linalg.norm(np.diff(moved[:, tip + 1 :], axis=0), axis=-1)
    assert steps.max() < 2  # and smooth beyond the tip
    for side in (moved[:117], moved[124:]):
        assert max(np.linalg.norm(np.diff(side, axis=axis), axis=-1).max() for axis in (0, 1)) < 2
    jacobian = transformation.jacobian()
    assert np.isnan(jacobian).any()
    assert np.nanmin(jacobian) > 0


def test_side_without_matches_follows_the_other() -> None:
    fold = band()
    points = scattered(900)
    left = points[points[:, 0] < middle_of_band(points[:, 1]) - 5]
    transformation = MovingLeastSquares(grid_nodes=60).prepare(SIZE, fold)(left, mapped(SIMILARITY, left))
    everywhere = pixels(SIZE).reshape(-1, 2)
    error = errors(transformation, everywhere, mapped(SIMILARITY, everywhere))
    assert np.nanmax(error) < 0.5
    assert (np.isnan(error) == fold.ravel()).mean() > 0.999


def test_few_matches_of_a_side_outweigh_many_of_the_other() -> None:
    fold = band()
    points = scattered(2000)
    side = points[:, 0] - middle_of_band(points[:, 1])
    points = np.concatenate([points[side < -5], points[side > 5][:12]])
    transformation = MovingLeastSquares(grid_nodes=60).prepare(SIZE, fold)(points, torn(points))
    right = pixels(SIZE)[140:].reshape(-1, 2)
    assert errors(transformation, right, torn(right)).max() < 1


def test_empty_mask_is_none() -> None:
    points = scattered(100)
    targets = mapped(SIMILARITY, points) + np.random.default_rng(1).normal(0, 1, points.shape)
    deformation = MovingLeastSquares(grid_nodes=32)
    transformation = deformation.prepare(SIZE, np.zeros(SIZE, bool))(points, targets)
    assert transformation.fold is None
    np.testing.assert_array_equal(transformation.values, deformation.prepare(SIZE)(points, targets).values)


def test_smoother_changes_the_smoothing_only() -> None:
    deformation = MovingLeastSquares("rigid", 0.02, 2.5, 40, False)
    smoother = deformation.smoother(3)
    assert smoother.kernel_radius == pytest.approx(0.06)
    assert vars(smoother) | {"kernel_radius": 0.02} == vars(deformation)
    assert deformation.smoother(1000).kernel_radius < 1


def test_wrong_matches_come_to_count_little() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform((0, 0), np.array(SIZE) - 1, (900, 2))
    right = points + 4 * np.sin(points[:, ::-1] / 60) + (8, -3)
    targets = right + rng.normal(0, 0.3, right.shape)
    wrong = rng.random(900) < 0.25
    targets[wrong] = points[wrong] + rng.uniform(-40, 40, (wrong.sum(), 2))
    fit = MovingLeastSquares(grid_nodes=48).prepare(SIZE)
    transformation, weights = fit_robustly(fit, points, targets)
    inner = ((points > 20) & (points < np.array(SIZE) - 20)).all(axis=1)

    def off(by: Transformation) -> float:
        return float(np.percentile(np.linalg.norm(by.forward(points) - right, axis=1)[inner], 95))

    assert off(transformation) < 1
    assert off(fit(points, targets)) > 4
    assert np.median(weights[~wrong]) > 0.7
    assert np.median(weights[wrong]) < 0.01
    halved = fit_robustly(fit, points, targets, np.full(900, 0.5))
    np.testing.assert_allclose(halved[1], weights / 2, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("transform_model", "projective"),
        ("kernel_radius", 0.0),
        ("kernel_radius", 1.0),
        ("kernel_radius", float("nan")),
        ("weight_exponent", 1.0),
        ("weight_exponent", -2),
        ("grid_nodes", 7),
        ("grid_nodes", 40.5),
        ("grid_nodes", 10**6),
    ],
)
def test_bad_arguments(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} .*got {value!r}$"):
        MovingLeastSquares(**{name: value})


def test_diffusion_without_folds_inverts_the_operator() -> None:
    lattice = Lattice.over((90, 70), 10)
    source = np.random.default_rng(0).random((np.prod(lattice.shape), 2))
    found = _freely(lattice, (2.5,), 3.0)(source)
    paths = (sparse.diags_array(np.ones((2, n - 1)), offsets=(-1, 1), shape=(n, n)) for n in lattice.shape)
    x, y = map(sparse.csgraph.laplacian, paths)
    one = sparse.eye_array(len(source))
    operator = one + 2.5**2 * sparse.kronsum(y, x)
    np.testing.assert_allclose(operator @ (operator @ found), source, atol=1e-12)
