from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter, map_coordinates
from textures import grey, mapped, pixels, texture, turned

from scripts.registration import INTERPOLATIONS, MovingLeastSquares, Transformation, warp, warp_inverse, warping

SIZE = (200, 140)


def shift(x: float, y: float) -> Transformation:
    return Transformation.affine(SIZE, np.array([[1.0, 0, x], [0, 1, y]]))


def labels() -> np.ndarray:
    """Areas of some hundred pixels each, with values that have others between them."""
    areas = gaussian_filter(np.random.default_rng(3).normal(size=SIZE), 9)
    return np.digitize(areas / areas.std(), (-0.7, 0, 0.7)).astype(np.uint8) * 70


def bent(at: np.ndarray) -> np.ndarray:
    return mapped(turned(6, (100.0, 70.0)), at) + 4 * np.sin(at[:, ::-1] / 30)


@pytest.fixture(scope="module")
def smooth() -> Transformation:
    points = np.random.default_rng(0).uniform((0, 0), np.array(SIZE) - 1, (800, 2))
    return MovingLeastSquares(grid_nodes=40).prepare(SIZE)(points, bent(points))


@pytest.fixture(scope="module")
def opened() -> Transformation:
    """A curved fold, behind which all is 20 pixels away."""
    x, y = np.moveaxis(pixels(SIZE), -1, 0)
    side = x - 100 - 8 * np.sin(y / 25)
    points = np.random.default_rng(0).uniform((0, 0), np.array(SIZE) - 1, (800, 2))
    far = points[:, 0] - 100 - 8 * np.sin(points[:, 1] / 25)
    points, far = points[np.abs(far) > 4], far[np.abs(far) > 4]
    targets = bent(points) + np.where(far[:, None] > 0, (20, 3), (0, 0)) + (15, 10)
    return MovingLeastSquares(grid_nodes=40).prepare(SIZE, np.abs(side) <= 3)(points, targets)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_identity_returns_the_image(interpolation: str) -> None:
    image = grey(texture(0, SIZE))
    for warped, valid in (
        warp(image, shift(0, 0), SIZE, interpolation),
        warp_inverse(image, shift(0, 0), interpolation),
    ):
        np.testing.assert_array_equal(warped, image)
        assert valid.dtype == bool
        assert valid.all()


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", [SIZE, (170, 190)])
def test_whole_shift_moves_pixels(interpolation: str, size: tuple[int, int]) -> None:
    image = grey(texture(0, SIZE))
    warped, valid = warp(image, shift(7, -4), size, interpolation)
    expected, known = np.zeros((300, 300), np.uint8), np.zeros((300, 300), bool)
    expected[7:207, :136], known[7:207, :136] = image[:, 4:], True
    part = tuple(slice(n) for n in size)
    np.testing.assert_array_equal(warped, expected[part])
    np.testing.assert_array_equal(valid, known[part])


def test_whole_shift_back() -> None:
    image = grey(texture(0, (220, 160)))
    warped, valid = warp_inverse(image, shift(30, -4))
    expected, known = np.zeros(SIZE, np.uint8), np.zeros(SIZE, bool)
    expected[:190, 4:], known[:190, 4:] = image[30:, :136], True
    np.testing.assert_array_equal(warped, expected)
    np.testing.assert_array_equal(valid, known)


@pytest.mark.parametrize("interpolation", ["cubic", "lanczos"])
def test_smooth_map_samples_where_tissue_comes_from(smooth: Transformation, interpolation: str) -> None:
    image = texture(0, SIZE)
    warped, valid = warp(image, smooth, SIZE, interpolation)
    back = smooth.inverse(pixels(SIZE).reshape(-1, 2)).T.reshape(2, *SIZE)
    inside = ((back > 2) & (back < np.array(SIZE)[:, None, None] - 3)).all(axis=0)
    assert inside.mean() > 0.7
    assert valid[inside].all()
    expected = map_coordinates(image, back, order=3)
    assert np.abs(warped - expected)[inside].max() < 0.02
    assert image.std() > 0.1
    assert not warped[~valid].any()
    outside = ((back < -1) | (back > np.array(SIZE)[:, None, None])).any(axis=0)
    assert not valid[outside].any()
    assert outside.any()


def test_section_there_and_back(smooth: Transformation) -> None:
    image = texture(0, SIZE)
    there, valid = warp(image, smooth.translated(np.array([30, 30])), (260, 200))
    back, known = warp_inverse(there, smooth.translated(np.array([30, 30])), "cubic")
    assert known.mean() > 0.99
    assert np.abs(back - image)[4:-4, 4:-4].max() < 0.05
    assert valid.sum() == pytest.approx(np.prod(SIZE), rel=0.1)


@pytest.mark.parametrize("kind", ["smooth", "opened"])
def test_nearest_invents_no_labels(kind: str, request: pytest.FixtureRequest) -> None:
    transformation = request.getfixturevalue(kind)
    truth = labels()
    assert set(np.unique(truth)) == {0, 70, 140, 210}
    aligned, valid = warp(truth, transformation, (260, 190), "nearest")
    assert set(np.unique(aligned)) == {0, 70, 140, 210}
    assert not aligned[~valid].any()
    back, _ = warp_inverse(aligned, transformation)
    assert set(np.unique(back)) == {0, 70, 140, 210}


def test_gap_of_an_opened_fold_has_no_source(opened: Transformation) -> None:
    aligned, valid = warp(np.full(SIZE, 200, np.uint8), opened, (260, 190))
    rows = np.arange(10, SIZE[1] - 10)
    middle = np.stack([100 + 8 * np.sin(rows / 25), rows], axis=1)
    left, right = (opened.forward(middle + np.array([side, 0])) for side in (-6, 6))
    for share in (0.25, 0.5, 0.75):
        place = np.rint(left + share * (right - left)).astype(int)
        assert not valid[tuple(place.T)].any()
        assert not aligned[tuple(place.T)].any()
    for rim in (left, right):
        assert valid[tuple(np.rint(rim).astype(int).T)].all()
    assert (aligned[valid] == 200).all()
    # no more and no less than the section but for its fold
    assert valid.sum() == pytest.approx((~opened.fold).sum(), rel=0.03)


def test_labels_come_back_but_for_the_rim_of_a_fold(opened: Transformation) -> None:
    truth = labels()
    aligned, _ = warp(truth, opened, (260, 190), "nearest")
    back, known = warp_inverse(aligned, opened)
    edge = distance_transform_edt(~opened.fold)
    np.testing.assert_array_equal(known[edge == 0], False)
    assert not back[edge == 0].any()
    inner = np.zeros(SIZE, bool)
    inner[3:-3, 3:-3] = True
    away = inner & (edge > 2)
    assert known[away].all()
    # twice to the nearest pixel: less than two pixels in all
    values = np.unique(truth)
    near = np.stack([distance_transform_edt(truth != value) < 2 for value in values])
    assert near[np.searchsorted(values, back), *np.indices(SIZE)][away].all()
    boundary = near.sum(axis=0) > 1
    np.testing.assert_array_equal(back[away & ~boundary], truth[away & ~boundary])
    assert (away & ~boundary).mean() > 0.5


def test_sides_of_a_fold_do_not_mix(opened: Transformation) -> None:
    x, y = np.moveaxis(pixels(SIZE), -1, 0)
    image = np.where(x < 100 + 8 * np.sin(y / 25), 50, 250).astype(np.uint8)
    aligned, valid = warp(image, opened, (260, 190))
    assert set(np.unique(aligned[valid])) <= {50, 250}


@pytest.mark.parametrize("kind", ["smooth", "opened"])
@pytest.mark.parametrize("cells", [3, 1000])
def test_tiles_leave_no_trace(
    kind: str, cells: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformation = request.getfixturevalue(kind)
    image = texture(0, SIZE)

    def warped() -> list[tuple[np.ndarray, np.ndarray]]:
        return [warp(image, transformation, (260, 190)), warp_inverse(image, transformation, "cubic")]

    monkeypatch.setattr(warping, "TILE_CELLS", 24)
    expected = warped()
    monkeypatch.setattr(warping, "TILE_CELLS", cells)
    for (one, one_valid), (other, other_valid) in zip(warped(), expected, strict=True):
        np.testing.assert_array_equal(one_valid, other_valid)
        assert np.abs(one - other).max() < 0.02  # OpenCV takes places to 1/32 of a pixel
        assert np.mean(one != other) < 0.02


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64, bool])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_pixel_type_is_kept(kind: type, interpolation: str) -> None:
    image = (100 * texture(0, SIZE) > 60) if kind is bool else (100 * texture(0, SIZE)).astype(kind)
    transformation = Transformation.affine(SIZE, turned(6, (100.0, 70.0)))
    aligned, valid = warp(image, transformation, SIZE, interpolation)
    back, _ = warp_inverse(aligned, transformation, interpolation)
    assert aligned.dtype == back.dtype == image.dtype
    assert aligned[valid].std() > 0
    assert not aligned[~valid].any()
    if kind is not bool:
        reference = warp(image.astype(np.float32), transformation, SIZE, interpolation)[0]
        whole = np.issubdtype(kind, np.integer)
        inner = binary_erosion(valid, iterations=3)
        # OpenCV rounds the weights too
        assert np.abs(aligned - reference)[inner].max() <= ({np.int32: 0.51}.get(kind, 1) if whole else 1e-3)


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.uint16])
def test_large_label_values_survive(kind: type) -> None:
    image = np.random.default_rng(0).integers(np.iinfo(kind).max - 1000, np.iinfo(kind).max, SIZE).astype(kind)
    aligned, _ = warp(image, shift(3, 2), (220, 150), "nearest")
    np.testing.assert_array_equal(aligned[3:203, 2:142], image)


def test_bright_pixels_do_not_wrap_around() -> None:
    image = np.zeros(SIZE, np.uint8)
    image[50:100, 40:90] = 255
    aligned, _ = warp(image, shift(0.4, 0.3), SIZE)
    assert aligned[55:95, 45:85].min() == 255
    assert aligned[:45].max() == 0


def test_enlarged_transformation_warps_alike(opened: Transformation) -> None:
    image = texture(0, SIZE)
    small, small_valid = warp(image, opened, (260, 190))
    large, large_valid = warp(np.kron(image, np.ones((2, 2), np.float32)), opened.rescaled(2, (400, 280)), (520, 380))
    blocks = large.reshape(260, 2, 190, 2)
    valid = large_valid.reshape(260, 2, 190, 2).all(axis=(1, 3)) & small_valid
    assert valid.sum() > 0.95 * small_valid.sum()
    assert np.abs(blocks.mean(axis=(1, 3)) - small)[valid].mean() < 0.01


def test_section_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the section has 140x200 pixels, .* of 200x140"):
        warp(np.zeros((140, 200), np.uint8), shift(0, 0), SIZE)


@pytest.mark.parametrize(
    "function",
    [
        lambda image, way: warp(image, shift(0, 0), SIZE, way),
        lambda image, way: warp_inverse(image, shift(0, 0), way),
    ],
)
def test_unknown_interpolation(function) -> None:
    with pytest.raises(ValueError, match=r"interpolation .*nearest, cubic, lanczos, but got 'linear'"):
        function(np.zeros(SIZE, np.uint8), "linear")
