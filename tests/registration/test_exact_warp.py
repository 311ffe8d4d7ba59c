"""What is interpolated between nodes, compared with the deformation at every pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import binary_erosion, distance_transform_edt
from textures import grey, mapped, pixels, texture, turned

from scripts.registration import MovingLeastSquares, Transformation, warp, warp_inverse

SIZE = (220, 160)
ALIGNED = (270, 210)


def bent(at: np.ndarray) -> np.ndarray:
    return mapped(turned(6, (110.0, 80.0)), at) + 4 * np.sin(at[:, ::-1] / 40) + 15


def across(at: np.ndarray) -> np.ndarray:
    """Distance from the middle of a curved fold that ends within the section."""
    return np.where(at[..., 1] < 120, at[..., 0] - 110 - 8 * np.sin(at[..., 1] / 30), 1e3)


@pytest.fixture(scope="module", params=["smooth", "with a fold"])
def transformation(request: pytest.FixtureRequest) -> Transformation:
    points = np.random.default_rng(0).uniform((0, 0), np.array(SIZE) - 1, (1500, 2))
    if request.param == "smooth":
        return MovingLeastSquares(grid_nodes=40).prepare(SIZE)(points, bent(points))
    points = points[np.abs(across(points)) > 4]
    apart = 5 * np.clip((120 - points[:, 1]) / 60, 0, 2) ** 2 * (across(points) > 0)
    targets = bent(points) + apart[:, None] * (1, 0.2)
    return MovingLeastSquares(grid_nodes=40).prepare(SIZE, np.abs(across(pixels(SIZE))) <= 3)(points, targets)


def differences(inverse: bool, transformation: Transformation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far warped coordinates are from the exact ones, where both are, and whether each has a source."""
    size, target = (ALIGNED, SIZE) if inverse else (SIZE, ALIGNED)
    x, y = np.moveaxis(pixels(size), -1, 0).astype(np.float32)
    exact = (transformation.forward if inverse else transformation.inverse)(pixels(target).reshape(-1, 2))
    exact = exact.reshape(*target, 2)
    if inverse:
        found = [warp_inverse(axis, transformation, "cubic") for axis in (x, y)]
    else:
        found = [warp(axis, transformation, target) for axis in (x, y)]
    within = ((exact >= -0.5) & (exact < np.array(size) - 0.5)).all(axis=-1)
    # at the border the picture goes on as it is, and coordinates do not
    inner = ((exact >= 3) & (exact < np.array(size) - 4)).all(axis=-1) & found[0][1]
    apart = np.hypot(found[0][0] - exact[..., 0], found[1][0] - exact[..., 1])
    return np.where(inner, apart, 0), found[0][1], within


@pytest.mark.parametrize("inverse", [False, True])
def test_places_are_those_of_the_deformation(inverse: bool, transformation: Transformation) -> None:
    apart, valid, within = differences(inverse, transformation)
    source = pixels(SIZE).reshape(-1, 2) if inverse else transformation.inverse(pixels(ALIGNED).reshape(-1, 2))
    beside = np.zeros(apart.shape, bool)
    if transformation.fold is not None:
        distance = distance_transform_edt(~transformation.fold)
        seen = np.isfinite(source).all(axis=1)
        place = np.clip(np.rint(source[seen]).astype(int), 0, np.array(SIZE) - 1)
        beside.ravel()[np.flatnonzero(seen)] = distance[tuple(place.T)] < 8
        assert beside.sum() > 500
        assert transformation.fold.sum() > 500
    assert apart[~beside].max() < 0.1
    assert apart[beside].max(initial=0) < 0.5
    assert (apart > 0).mean() > 0.4
    # to the pixel, but for those on the very border of the picture
    assert np.mean(valid != within) < 2e-3
    border = ~binary_erosion(within, iterations=2) & ~binary_erosion(~within, iterations=2)
    assert not (valid != within)[~border].any()


@pytest.mark.parametrize("tooth", [3, 6])
def test_every_tooth_of_a_ragged_wide_fold_is_found(tooth: int) -> None:
    """Deep in a gap nothing is looked up; what juts into it is finer than the parts of a cell, of ten pixels."""
    size = (480, 400)
    distance, along = np.abs(np.arange(size[0]) - 240), np.arange(size[1])
    fold = distance[:, None] < 90 + tooth * (along // tooth % 2)
    transformation = Transformation.affine(size, np.array([[1, 0, 0.3], [0, 1, 0.2]]), nodes=7, fold=fold)
    _, valid = warp(np.ones(size, np.uint8), transformation, size)
    exact = transformation.inverse(pixels(size).reshape(-1, 2)).reshape(*size, 2)
    within = ((exact >= -0.5) & (exact < np.array(size) - 0.5)).all(axis=-1)
    np.testing.assert_array_equal(valid, within)
    assert (~valid).sum() > 0.9 * fold.sum()


def test_pixels_are_those_of_the_exact_map(transformation: Transformation) -> None:
    image = grey(texture(0, SIZE))
    found, valid = warp(image, transformation, ALIGNED)
    places = transformation.inverse(pixels(ALIGNED).reshape(-1, 2)).astype(np.float32).reshape(*ALIGNED, 2)
    known = np.isfinite(places).all(axis=-1) & valid
    x, y = np.moveaxis(np.where(known[..., None], places, 0), -1, 0)
    exact = cv2.remap(image, y, x, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    off = np.abs(found.astype(int) - exact)[known]
    assert known.mean() > 0.4
    # OpenCV takes places to 1/32 of a pixel
    assert np.mean(off) < 0.2
    assert np.quantile(off, 0.999) <= 4


@pytest.mark.parametrize("interpolation", ["nearest", "cubic"])
def test_threads_change_nothing(interpolation: str, transformation: Transformation) -> None:
    image = grey(texture(0, SIZE))
    before = cv2.getNumThreads()
    results = []
    try:
        for threads in (1, 2, 5):
            cv2.setNumThreads(threads)
            results.append(warp(image, transformation, ALIGNED, interpolation))
    finally:
        cv2.setNumThreads(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
