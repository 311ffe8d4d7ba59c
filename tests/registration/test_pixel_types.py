"""Pixels of every type that a microscope writes, warped as the same pixels in 8 bit or in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from textures import texture, turned

from scripts.registration import INTERPOLATIONS, Transformation, warp, warp_inverse
from scripts.registration.pixel_types import centred

SIZE = (200, 140)
TURN = Transformation.affine(SIZE, turned(6, (100.0, 70.0)))


def steps() -> np.ndarray:
    """Grey levels from 0 to 255 with steep edges, at which cubic interpolation overshoots, int64."""
    return np.where(texture(0, SIZE) > 0.6, 255, 255 * (texture(1, SIZE) > 0.8)).astype(np.int64)


def warped(image: np.ndarray, interpolation: str) -> np.ndarray:
    result, valid = warp(image, TURN, SIZE, interpolation)
    assert result.dtype == image.dtype
    assert not result[~valid].any()
    back, _ = warp_inverse(image, TURN, interpolation)
    assert back.dtype == image.dtype
    return np.stack([np.where(valid, result, 0), back]).astype(object)  # of any size, exact


def exact(image: np.ndarray, interpolation: str) -> np.ndarray:
    """Interpolated grey levels near 0, before they are rounded."""
    return np.stack([warp(image, TURN, SIZE, interpolation)[0], warp_inverse(image, TURN, interpolation)[0]])


@pytest.mark.parametrize("interpolation", ["cubic", "lanczos"])
@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("end", ["low", "high"])
def test_integers_at_the_ends_of_their_range_do_not_wrap_around(kind: type, end: str, interpolation: str) -> None:
    limits = np.iinfo(kind)
    start = limits.min if end == "low" else limits.max - 255
    image = (steps().astype(object) + start).astype(kind)
    result = warped(image, interpolation)
    valid = warp(np.ones(SIZE, np.uint8), TURN, SIZE, "nearest")[1]
    difference = (result[0][valid] - start).astype(float)
    reference = exact(steps().astype(np.float64), interpolation)[0][valid]
    assert reference.min() < -10
    assert reference.max() > 265
    low, high = limits.min - start, limits.max - start
    assert np.abs(difference - np.clip(reference, low, high)).max() <= 1.01
    assert result.min() >= limits.min
    assert result.max() <= limits.max


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(
    ("kind", "offset"),
    [
        (np.uint32, 10**6),
        (np.int32, -(10**6)),
        (np.uint32, 3 * 10**9),
        (np.int64, -(2**60)),
        (np.uint64, 2**63 + 2**62),
        (">u4", 10**6),
    ],
)
def test_an_offset_of_integers_changes_nothing(kind: type, offset: int, interpolation: str) -> None:
    image = (255 * texture(0, SIZE)).astype(np.int64)
    shifted = (image.astype(object) + offset).astype(kind)
    assert int(shifted[7, 9]) == int(image[7, 9]) + offset
    result, valid = warp(shifted, TURN, SIZE, interpolation)
    expected, _ = warp(image.astype(np.int32), TURN, SIZE, interpolation)
    difference = result[valid].astype(object) - offset - expected[valid]
    # at halves, which way it is rounded hangs on the last bit
    assert np.abs(difference).max() <= (0 if interpolation == "nearest" else 1)
    assert np.count_nonzero(difference) <= 0.002 * difference.size


@pytest.mark.parametrize("interpolation", ["cubic", "lanczos"])
@pytest.mark.parametrize(("kind", "error"), [(np.float32, 0.006), (np.float64, 1e-4)])
def test_an_offset_of_floating_point_changes_nothing(kind: type, error: float, interpolation: str) -> None:
    image = 255 * texture(0, SIZE).astype(np.float64)
    with_offset = (image + 1e5).astype(kind)
    hot = with_offset.copy()
    hot[3, 5] = 1e9  # far from where is compared
    expected, valid = warp(with_offset.astype(np.float64) - 1e5, TURN, SIZE, interpolation)
    for pixels in (with_offset, hot):
        result, _ = warp(pixels, TURN, SIZE, interpolation)
        inner = valid.copy()
        inner[:30, :30] = False
        assert np.abs(result.astype(np.float64) - 1e5 - expected)[inner].max() <= error


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float16, bool])
def test_nearest_copies_labels_of_any_value(kind: type) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 256, (*SIZE, np.dtype(kind).itemsize), dtype=np.uint8)
    image = bits[..., 0] > 127 if kind is bool else bits.view(kind)[..., 0]
    image = np.nan_to_num(image) if kind is np.float16 else image
    shift = Transformation.affine(SIZE, np.array([[1.0, 0, 3], [0, 1, 2]]))
    aligned, _ = warp(image, shift, (220, 150), "nearest")
    np.testing.assert_array_equal(aligned[3:203, 2:142], image)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64, np.int64])
def test_grey_levels_near_zero_are_left_as_they_are(kind: type) -> None:
    image = (100 * texture(0, SIZE)).astype(kind)
    image[4, 5] = 120
    values, level = centred(image)
    assert level == 0
    assert values is image
