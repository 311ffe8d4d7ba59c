"""Estimators against known solids at 5 x 5 x 50 nm, in ten rotations: what `columns.md` says of their bias."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from solids import PIXEL, capsule, measure, sections

from scripts.instances import complexity_index, heights, measure_profiles, nearest_neighbours, sphericity, surfaces
from scripts.instances.linking import Overlaps

pytestmark = pytest.mark.slow

ROTATIONS = Rotation.random(10, random_state=1)
ORIGIN = np.zeros(3)


def mean_bias(make: object, reach: float, truth: dict[str, float]) -> tuple[dict[str, float], list[dict]]:
    rng = np.random.default_rng(0)
    results = [measure(sections(make(rotation), reach, rng)) for rotation in ROTATIONS]
    return {name: np.mean([r[name] for r in results]) / value - 1 for name, value in truth.items()}, results


@pytest.mark.parametrize("radius", [150, 250])
def test_sphere(radius: float) -> None:
    truth = {"volume": 4 / 3 * np.pi * radius**3, "surface": 4 * np.pi * radius**2, "length": 2 * radius}
    bias, results = mean_bias(lambda _: [capsule(ORIGIN, ORIGIN, radius)], 400, truth)
    assert abs(bias["volume"]) < 0.02
    assert -0.04 < bias["surface"] < 0
    assert 0 < bias["length"] < 0.12
    assert all(result["branch_points"] == 0 for result in results)


def test_surface_of_a_sphere_in_two_sections_is_too_low() -> None:
    rng = np.random.default_rng(0)
    results = [measure(sections([capsule(ORIGIN, ORIGIN, 50)], 250, rng))["surface"] for _ in range(20)]
    assert np.mean(results) / (4 * np.pi * 50**2) - 1 == pytest.approx(-0.08, abs=0.02)


def test_tube() -> None:
    radius, length = 120, 1000
    end = np.array([0, 0, length / 2])
    truth = {
        "volume": np.pi * radius**2 * length + 4 / 3 * np.pi * radius**3,
        "surface": 2 * np.pi * radius * length + 4 * np.pi * radius**2,
        "length": length + 2 * radius,
    }
    bias, results = mean_bias(lambda turn: [capsule(turn.apply(-end), turn.apply(end), radius)], 800, truth)
    assert abs(bias["volume"]) < 0.02
    assert -0.07 < bias["surface"] < 0
    assert 0 < bias["length"] < 0.06
    assert all(result["branch_points"] == 0 for result in results)


def test_y() -> None:
    """Its volume and surface by a grid of 10 nm; its axes meet in the middle and end at the surface."""
    radius, arms = 100, (700, 650, 600)
    angles = (0, 2 * np.pi / 3, 4 * np.pi / 3)
    ends = [arm * np.array([0, np.cos(angle), np.sin(angle)]) for arm, angle in zip(arms, angles, strict=True)]
    grid = np.arange(-850, 850, 10.0)
    points = np.stack(np.meshgrid(np.arange(-115, 116, 10.0), grid, grid, indexing="ij"), axis=-1)
    inside = np.max([capsule(ORIGIN, end, radius)(points) for end in ends], axis=0)
    # the surface is the derivative of the volume by the distance
    surface = (np.count_nonzero(inside >= -10) - np.count_nonzero(inside >= 10)) * 10**3 / 20
    truth = {
        "volume": np.count_nonzero(inside >= 0) * 10**3,
        "surface": surface,
        "length": 700 + 650 + 2 * radius,
        "total_length": sum(arms) + 3 * radius,
    }
    bias, results = mean_bias(lambda turn: [capsule(ORIGIN, turn.apply(end), radius) for end in ends], 850, truth)
    assert abs(bias["volume"]) < 0.02
    assert -0.08 < bias["surface"] < 0
    assert -0.05 < bias["length"] < 0.05
    assert -0.03 < bias["total_length"] < 0.05
    assert [result["branch_points"] for result in results] == [1] * len(ROTATIONS)


def test_missing_sections_stand_for_their_neighbours() -> None:
    np.testing.assert_allclose(heights(np.array([0, 1, 3, 4]), 50), [50, 75, 75, 50])
    assert heights(np.array([7]), 50) == [50]


def test_no_cap_where_the_stack_ends() -> None:
    """A tube through the whole stack has walls alone."""
    area, perimeter = np.pi * 100**2, 2 * np.pi * 100
    shared = Overlaps(np.array([1, 2]), np.array([2, 3]), np.array([area / 25] * 2))
    one, section = np.ones(3, np.int64), np.arange(3)
    arguments = one, section, section, np.full(3, area), np.full(3, perimeter), shared, 25.0, 50.0
    assert surfaces(*arguments)[0] == pytest.approx(perimeter * 150)


def test_indices_of_a_sphere() -> None:
    volume, surface = np.array([4 / 3 * np.pi]), np.array([4 * np.pi])
    assert sphericity(volume, surface) == pytest.approx(1)
    assert complexity_index(volume, surface) == pytest.approx(36 * np.pi / (16 * np.pi**2))


@pytest.mark.parametrize("spacing", [(5.0, 5.0), (5.0, 8.0)])
def test_measures_of_an_ellipse(spacing: tuple[float, float]) -> None:
    a, b, angle = 300.0, 150.0, np.radians(30)
    y, x = np.mgrid[-400 : 400 : spacing[0], -400 : 400 : spacing[1]]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    mask = (along / a) ** 2 + (across / b) ** 2 <= 1
    grey = np.where(mask, 70, 200).astype(np.uint8)
    profiles = measure_profiles(mask.astype(np.int32), spacing, grey)
    row = dict(
        zip(("area", "perimeter", "circularity", "form_factor", "aspect_ratio"), profiles.table[0, :5], strict=True)
    )
    perimeter = np.pi * (3 * (a + b) - np.sqrt((3 * a + b) * (a + 3 * b)))  # Ramanujan
    assert row["area"] == pytest.approx(np.pi * a * b, rel=0.01)
    assert row["perimeter"] == pytest.approx(perimeter, rel=0.01)
    assert row["circularity"] == pytest.approx(4 * np.pi * np.pi * a * b / perimeter**2, rel=0.02)
    assert row["form_factor"] == pytest.approx(1 / row["circularity"])
    assert row["aspect_ratio"] == pytest.approx(2, rel=0.02)
    longest, shortest, orientation, solidity, mean_grey, cx, cy, touches = profiles.table[0, 5:]
    assert (longest, shortest) == pytest.approx((2 * a, 2 * b), rel=0.02)
    assert orientation == pytest.approx(30, abs=1)
    assert 0.97 < solidity <= 1
    assert (mean_grey, touches) == (70, 0)
    assert (cx, cy) == pytest.approx((400, 400), abs=PIXEL)
    outline = profiles.outlines[0]
    assert np.ptp(outline[:, 0]) * spacing[1] == pytest.approx(2 * np.hypot(a * np.cos(angle), b * np.sin(angle)), 0.02)


def test_single_pixels_and_what_touches_the_border() -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[0, 5], labels[9, 9], labels[15, 10:20] = 1, 2, 3
    valid = np.ones(labels.shape, bool)
    valid[16:] = False
    table = measure_profiles(labels, valid=valid).table
    assert np.isfinite(np.delete(table, 9, axis=1)).all()
    assert table[:, 0].tolist() == [1, 1, 10]
    assert table[:, -1].tolist() == [1, 0, 1]
    assert measure_profiles(labels).table[:, -1].tolist() == [1, 0, 0]
    assert len(measure_profiles(np.zeros((5, 5), np.int32)).table) == 0


def test_nearest_neighbours() -> None:
    np.testing.assert_allclose(nearest_neighbours(np.array([0.0, 3, 10]), np.array([0.0, 4, 4])), [5, 5, 7])
    assert np.isnan(nearest_neighbours(np.array([1.0]), np.array([1.0]))).all()


def test_wide_gaps_are_ends() -> None:
    np.testing.assert_allclose(heights(np.array([0, 1, 4, 5, 7]), 50, max_gap=1), [50, 50, 50, 75, 75])
