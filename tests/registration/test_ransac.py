from __future__ import annotations

import numpy as np
import pytest
from textures import mapped, shifted, turned

from scripts.registration.ransac import sequential_ransac

SIZE = np.array([400.0, 300.0])
FIRST = np.array([[1.03, 0.04, 5.0], [-0.02, 0.98, 9.0]])
SECOND = shifted(turned(-7, (200.0, 150.0)), 60, -35)


def matches(counts: list[tuple[np.ndarray, int]], wrong: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, targets to about half a pixel, and the number of their map, -1 for wrong ones; in any order."""
    rng = np.random.default_rng(0)
    truth = np.repeat([*range(len(counts)), -1], [*(count for _, count in counts), wrong])
    points = rng.uniform(0, SIZE, (len(truth), 2))
    targets = rng.uniform(0, SIZE, (len(truth), 2))
    for number, (matrix, count) in enumerate(counts):
        targets[truth == number] = mapped(matrix, points[truth == number]) + rng.normal(0, 0.5, (count, 2))
    order = rng.permutation(len(truth))
    return points[order], targets[order], truth[order]


def found(points: np.ndarray, targets: np.ndarray, **arguments: int) -> tuple[list[np.ndarray], np.ndarray]:
    return sequential_ransac(points, targets, 4.0, float(SIZE.prod()), **arguments)


def corners(matrix: np.ndarray) -> np.ndarray:
    return mapped(matrix, np.array([[0, 0], [400, 0], [0, 300], [400, 300]], float))


def test_one_model_among_many_wrong_matches() -> None:
    points, targets, truth = matches([(FIRST, 100)], 700)
    models, member = found(points, targets)
    assert len(models) == 1
    assert np.abs(corners(models[0]) - corners(FIRST)).max() < 2
    assert (member[truth == 0] == 0).mean() > 0.97
    assert (member[truth == -1] == 0).mean() < 0.03
    assert set(np.unique(member)) == {-1, 0}


def test_two_models_among_many_wrong_matches() -> None:
    points, targets, truth = matches([(SECOND, 80), (FIRST, 160)], 500)
    models, member = found(points, targets)
    assert len(models) == 2
    for model, expected in zip(models, (FIRST, SECOND), strict=True):  # most matches first
        assert np.abs(corners(model) - corners(expected)).max() < 3
    assert (member[truth == 1] == 0).mean() > 0.95
    assert (member[truth == 0] == 1).mean() > 0.95
    assert (member[truth == -1] >= 0).mean() < 0.05


def test_most_limits_the_models() -> None:
    points, targets, truth = matches([(FIRST, 160), (SECOND, 80)], 200)
    models, member = found(points, targets, max_models=1)
    assert len(models) == 1
    assert (member[truth == 1] == 0).mean() < 0.05


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [0, 3, 30, 600])
def test_random_matches_agree_on_nothing(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    models, member = found(*rng.uniform(0, SIZE, (2, count, 2)))
    assert models == []
    np.testing.assert_array_equal(member, np.full(count, -1))


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[-1.0, 0, 400], [0, 1, 0]]),
        np.array([[0.0, 1, 0], [1, 0, 0]]),
        turned(10, (200.0, 150.0), 2.0),
        turned(0, (200.0, 150.0), 0.5),
    ],
    ids=["mirrored", "transposed", "doubled", "halved"],
)
def test_reflections_and_other_magnifications_are_refused(matrix: np.ndarray) -> None:
    points, targets, _ = matches([(matrix, 300)], 30)
    models, member = found(points, targets)
    # in a narrow strip a reflection agrees with a turn, and nowhere else
    for number, model in enumerate(models):
        assert np.abs(corners(model) - corners(matrix)).max() > 50
        assert np.linalg.det(model[:, :2]) > 0
        assert np.abs(np.log(np.linalg.svd(model[:, :2], compute_uv=False))).max() < np.log(1.3)
        assert (member == number).mean() < 0.1


def test_turns_of_any_angle_are_taken() -> None:
    for degrees in (0, 90, 180, 250):
        points, targets, _ = matches([(turned(degrees, (200.0, 150.0)), 60)], 100)
        models, _ = found(points, targets)
        assert len(models) == 1
        assert np.abs(corners(models[0]) - corners(turned(degrees, (200.0, 150.0)))).max() < 2


def test_matches_on_a_line_give_no_wild_model() -> None:
    rng = np.random.default_rng(1)
    points = np.stack([rng.uniform(0, 400, 80), 150 + rng.normal(0, 0.5, 80)], axis=1)
    truth = turned(5, (200.0, 150.0))
    models, _ = found(points, mapped(truth, points) + rng.normal(0, 0.5, points.shape))
    assert len(models) == 1
    assert np.abs(corners(models[0]) - corners(truth)).max() < 10


def test_same_matches_give_same_models() -> None:
    points, targets, _ = matches([(FIRST, 60), (SECOND, 50)], 400)
    first, second = found(points, targets), found(points, targets)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
