from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from textures import mapped, pixels, turned

from scripts.registration import MovingLeastSquares, Transformation, affine_between
from scripts.registration.lattice import Lattice

SIZE = (200, 140)
AFFINE = np.array([[1.05, 0.08, -12.0], [-0.06, 0.97, 9.0]])


def bent(at: np.ndarray) -> np.ndarray:
    return mapped(AFFINE, at) + 5 * np.sin(at[:, ::-1] / 40)


def opened(at: np.ndarray) -> np.ndarray:
    """The right half moves away by 25 pixels."""
    return bent(at) + np.where(at[:, :1] > 100, (25, 4), (0, 0))


def scattered(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform((0, 0), np.array(SIZE) - 1, (count, 2))


@pytest.fixture(scope="module")
def smooth() -> Transformation:
    points = scattered(800)
    return MovingLeastSquares(grid_nodes=40).prepare(SIZE)(points, bent(points))


@pytest.fixture(scope="module")
def folded() -> Transformation:
    fold = np.zeros(SIZE, bool)
    fold[97:104] = True
    points = scattered(800)
    points = points[np.abs(points[:, 0] - 100) > 5]
    return MovingLeastSquares(grid_nodes=40).prepare(SIZE, fold)(points, opened(points))


def test_affine_is_the_same_everywhere() -> None:
    transformation = Transformation.affine(SIZE, AFFINE)
    points = np.random.default_rng(1).uniform(-20, 220, (300, 2))
    np.testing.assert_allclose(transformation.forward(points), mapped(AFFINE, points))
    np.testing.assert_allclose(
        transformation.derivative(points), np.broadcast_to(AFFINE[:, :2], (300, 2, 2)), atol=1e-12
    )
    np.testing.assert_allclose(transformation.jacobian(), np.linalg.det(AFFINE[:, :2]))
    inside = pixels(SIZE).reshape(-1, 2)
    np.testing.assert_allclose(transformation.inverse(mapped(AFFINE, inside)), inside, atol=1e-6)


@pytest.mark.parametrize("kind", ["smooth", "folded"])
def test_backward_is_the_inverse_of_forward(kind: str, request: pytest.FixtureRequest) -> None:
    transformation = request.getfixturevalue(kind)
    inside = pixels(SIZE).reshape(-1, 2)
    places = transformation.forward(inside)
    seen = np.isfinite(places).all(axis=1)
    back = transformation.inverse(places)
    np.testing.assert_array_equal(np.isfinite(back).all(axis=1), seen)
    assert np.abs(back[seen] - inside[seen]).max() < 0.1
    again = transformation.forward(back[seen])
    assert np.abs(again - places[seen]).max() < 0.06


def test_backward_is_the_inverse_where_sides_overlap_on_a_coarse_grid() -> None:
    fold = np.zeros(SIZE, bool)
    fold[97:104] = True
    points = scattered(800)
    points = points[np.abs(points[:, 0] - 100) > 5]
    targets = points - np.where(points[:, :1] > 100, (7, 0), (0, 0))  # rims meet
    transformation = MovingLeastSquares(grid_nodes=9).prepare(SIZE, fold)(points, targets)
    inside = pixels(SIZE)[~fold]
    places = transformation.forward(inside)
    back = transformation.inverse(places)
    seen = np.isfinite(back).all(axis=1)
    assert seen.mean() > 0.99
    off = np.abs(back - inside).max(axis=1)
    assert (off[seen & (np.abs(inside[:, 0] - 100) > 6)] < 0.1).all()


def test_smooth_map_has_no_gaps(smooth: Transformation) -> None:
    points = scattered(500)
    assert np.abs(smooth.forward(points) - bent(points)).max() < 0.7
    assert np.isfinite(smooth.forward(points)).all()


def test_under_a_fold_there_is_no_map(folded: Transformation) -> None:
    places = folded.forward(pixels(SIZE).reshape(-1, 2)).reshape(*SIZE, 2)
    np.testing.assert_array_equal(np.isnan(places).any(axis=-1), folded.fold)
    np.testing.assert_array_equal(np.isnan(places).all(axis=-1), folded.fold)


def test_in_the_gap_of_an_opened_fold_there_is_nothing(folded: Transformation) -> None:
    rims = np.array([[96.0, 70.0], [104.0, 70.0]])
    left, right = folded.forward(rims)
    assert right[0] - left[0] > 28
    way = left + np.linspace(0, 1, 50)[:, None] * (right - left)
    inside = (way[:, 0] > left[0] + 2) & (way[:, 0] < right[0] - 2)
    assert np.isnan(folded.inverse(way[inside])).all()
    np.testing.assert_allclose(folded.inverse(way[[0, -1]]), rims, atol=0.1)


def test_backward_of_nothing_and_of_what_is_far_away(smooth: Transformation) -> None:
    points = np.array([[np.nan, 5.0], [-500.0, 70.0], [np.inf, 0.0], [bent(np.array([[80.0, 60.0]]))[0, 0], 1e5]])
    assert np.isnan(smooth.inverse(points)).all()
    assert smooth.inverse(np.zeros((0, 2))).shape == (0, 2)


def test_of_overlapping_sides_one_is_taken() -> None:
    fold = np.zeros(SIZE, bool)
    fold[97:104] = True
    points = scattered(800)
    points = points[np.abs(points[:, 0] - 100) > 5]
    targets = points - np.where(points[:, :1] > 100, (30, 0), (0, 0))
    transformation = MovingLeastSquares(grid_nodes=40).prepare(SIZE, fold)(points, targets)
    places = pixels(SIZE)[75:95].reshape(-1, 2)  # of both
    back = transformation.inverse(places)
    assert np.isfinite(back).all()
    assert np.abs(transformation.forward(back) - places).max() < 0.06
    shift = back[:, 0] - places[:, 0]
    assert ((np.abs(shift) < 0.2) | (np.abs(shift - 30) < 0.2)).all()


def test_derivative_is_that_of_the_map(smooth: Transformation) -> None:
    points = scattered(300) * 0.8 + 15
    steps = [smooth.forward(points + d) - smooth.forward(points - d) for d in ((2, 0), (0, 2))]
    np.testing.assert_allclose(smooth.derivative(points), np.stack(steps, axis=-1) / 4, atol=0.03)


@pytest.mark.parametrize("kind", ["smooth", "folded"])
def test_archive_keeps_the_transformation(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    transformation = request.getfixturevalue(kind).rescaled(2, (401, 280))
    transformation.save(tmp_path / "one.npz", (450, 333))
    loaded = Transformation.load(tmp_path / "one.npz")
    assert loaded.lattice == transformation.lattice
    points = 2 * scattered(2000)
    np.testing.assert_allclose(loaded.forward(points), transformation.forward(points), atol=1e-3)
    np.testing.assert_array_equal(loaded.values, transformation.values)
    if kind == "smooth":
        assert loaded.fold is None
    else:
        np.testing.assert_array_equal(loaded.fold, transformation.fold)
    assert Transformation.load_sizes(tmp_path / "one.npz") == ((401, 280), (450, 333))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.99])
def test_an_archive_with_wrong_bytes_is_named(folded: Transformation, tmp_path: Path, share: float) -> None:
    """Whatever of it is hit: the name of a member, what is compressed, or the directory at the end."""
    path = tmp_path / "one.npz"
    folded.save(path, (450, 333))
    content = bytearray(path.read_bytes())
    start = int(share * len(content))
    content[start : start + 20] = bytes(255 - byte for byte in content[start : start + 20])
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"one\.npz: is no transformation, or damaged"):
        Transformation.load(path)


@pytest.mark.parametrize("kind", ["smooth", "folded"])
@pytest.mark.parametrize("factor", [2, 3])
def test_enlarged_moves_the_same_tissue_to_the_same_place(
    kind: str, factor: int, request: pytest.FixtureRequest
) -> None:
    transformation = request.getfixturevalue(kind)
    large = transformation.rescaled(factor, tuple(factor * n + 1 for n in SIZE))
    points = pixels(SIZE)[::3, ::3].reshape(-1, 2)
    places = large.forward((points + 0.5) * factor - 0.5)
    np.testing.assert_allclose(places, (transformation.forward(points) + 0.5) * factor - 0.5, atol=1e-6)
    assert np.isnan(places).any() == (kind == "folded")
    np.testing.assert_allclose(large.jacobian(), transformation.jacobian())


def test_jacobian_is_negative_where_a_section_is_folded_over_itself() -> None:
    grid = Lattice((121, 81), 5.0)
    nodes = grid.nodes().reshape(*grid.shape, 2)
    values = nodes.copy()
    values[..., 0] = 60 - np.abs(nodes[..., 0] - 60)
    transformation = Transformation(grid, values, np.broadcast_to(np.eye(2), (*grid.shape, 2, 2)))
    jacobian = transformation.jacobian()
    assert jacobian.shape == (24, 16)
    np.testing.assert_allclose(jacobian[:12], 1)
    np.testing.assert_allclose(jacobian[12:], -1)


def test_jacobian_is_nan_in_cut_cells_only(folded: Transformation) -> None:
    cut = np.isnan(folded.jacobian())
    edges = folded.lattice.spacing * np.arange(folded.lattice.shape[0])
    expected = (edges[1:] >= 96) & (edges[:-1] <= 104)
    np.testing.assert_array_equal(cut, np.broadcast_to(expected[:, None], cut.shape))
    np.testing.assert_array_equal(folded.whole_cells(), ~cut)
    assert np.nanmin(folded.jacobian()) > 0.7


def test_other_folds_leave_the_map(smooth: Transformation) -> None:
    fold = np.zeros(SIZE, bool)
    fold[50:60] = True
    cut = smooth.with_fold(fold)
    points = pixels(SIZE)[80:].reshape(-1, 2)
    np.testing.assert_array_equal(cut.forward(points), smooth.forward(points))
    assert np.isnan(cut.forward(np.array([[55.0, 20.0]]))).all()
    assert cut.with_fold(np.zeros(SIZE, bool)).fold is None


def test_moved_follows_by_another_map(folded: Transformation) -> None:
    def change(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = places.T
        derivative = np.stack([np.ones_like(x), 0.002 * y, -0.001 * x, np.ones_like(x)], axis=1)
        return np.stack([x + 0.001 * y**2, y - 0.0005 * x**2], axis=1), derivative.reshape(-1, 2, 2)

    points = scattered(500)
    moved = folded.compose(change).forward(points)
    np.testing.assert_allclose(moved, change(folded.forward(points))[0], atol=0.05)
    shifted = folded.translated(np.array([3, -8]))
    np.testing.assert_allclose(shifted.forward(points), folded.forward(points) + np.array([3, -8]))
    np.testing.assert_array_equal(shifted.linear, folded.linear)
    assert shifted.fold is folded.fold


def test_outline_runs_along_the_border() -> None:
    matrix = turned(10, (100.0, 70.0))
    outline = Transformation.affine(SIZE, matrix).boundary()
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    back = mapped(inverse, outline)
    border = np.minimum(back, np.array(SIZE) - 1 - back).min(axis=1)
    np.testing.assert_allclose(border, 0, atol=1e-9)
    for corner in ((0, 0), (199, 0), (0, 139), (199, 139)):
        assert np.linalg.norm(back - corner, axis=1).min() < 1e-9


def test_outline_leaves_out_folds(folded: Transformation) -> None:
    outline = folded.boundary()
    assert np.isfinite(outline).all()
    whole = folded.forward(pixels(SIZE).reshape(-1, 2))
    np.testing.assert_allclose(outline.min(axis=0), np.nanmin(whole, axis=0), atol=0.5)
    np.testing.assert_allclose(outline.max(axis=0), np.nanmax(whole, axis=0), atol=0.5)


def test_boundary_reaches_to_what_folds_along_the_border_leave() -> None:
    fold = np.ones(SIZE, bool)
    fold[7:-12, 9:-20] = False
    outline = Transformation.affine(SIZE, np.eye(2, 3), fold=fold).boundary()
    np.testing.assert_allclose(outline.min(axis=0), (7, 9))
    np.testing.assert_allclose(outline.max(axis=0), np.array(SIZE) - (13, 21))
    reduced = np.ones((SIZE[0] // 2, SIZE[1] // 2), bool)
    reduced[4:-6, 5:-10] = False
    outline = Transformation.affine(SIZE, np.eye(2, 3), fold=reduced).boundary()
    np.testing.assert_allclose(outline.min(axis=0), (8, 10))


@pytest.mark.parametrize("degrees", [90, 180, -135])
def test_affine_between_sections_turned_against_each_other_keeps_the_size(degrees: float) -> None:
    turn = np.radians(degrees)
    turned = np.array([[np.cos(turn), -np.sin(turn), 30], [np.sin(turn), np.cos(turn), 40]])
    both = [Transformation.affine(SIZE, np.eye(2, 3)), Transformation.affine(SIZE, turned)]
    for weights, expected in (([3, 1], np.eye(2, 3)), ([1, 3], turned), ([1, 1], np.eye(2, 3))):
        between = affine_between(both, weights, SIZE)
        np.testing.assert_allclose(between.linear, np.broadcast_to(expected[:, :2], between.linear.shape), atol=1e-9)
        np.testing.assert_allclose(between.forward(np.zeros((1, 2)))[0], expected[:, 2], atol=1e-9)


def test_affine_between_is_the_weighted_mean() -> None:
    first, second = AFFINE, turned(4, (100.0, 70.0))
    both = [Transformation.affine(SIZE, first), Transformation.affine((90, 260), second)]
    between = affine_between(both, [3, 1], (50, 60))
    assert between.lattice.size == (50, 60)
    assert between.fold is None
    points = np.random.default_rng(2).uniform(0, 50, (20, 2))
    np.testing.assert_allclose(between.forward(points), mapped(0.75 * first + 0.25 * second, points))


def test_affine_between_leaves_out_the_bend() -> None:
    grid = Lattice.over(SIZE, 24)
    at = grid.nodes()
    wave = 3 * np.stack([np.sin(at[:, 1] / 4), np.cos(at[:, 0] / 4)], axis=1)
    linear = np.broadcast_to(AFFINE[:, :2], (*grid.shape, 2, 2))
    wavy = Transformation(grid, (mapped(AFFINE, at) + wave).reshape(*grid.shape, 2), linear)
    points = scattered(50)
    assert np.abs(affine_between([wavy], [1.0], SIZE).forward(points) - mapped(AFFINE, points)).max() < 1
