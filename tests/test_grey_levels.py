from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from monai.transforms import HistogramNormalize
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion, gaussian_filter

from scripts.grey_levels import SectionLevels, equalize, fill_outside, stretch, tissue_mask
from scripts.io import read_section
from scripts.phantom import PhantomTissue, acquire

DATA = Path(__file__).parents[2] / "shared" / "data"
GREYS = {"black": 0, "white": 255, "grey": 128}


@pytest.fixture(scope="module")
def phantom() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A section of 384x320 pixels of 5 nm, and its mitochondria."""
    section, label = PhantomTissue(3, (384, 320), 1).section(0)
    return acquire(section, np.random.default_rng(0)), label > 0


@pytest.fixture(scope="module")
def tissue(phantom: tuple) -> NDArray[np.uint8]:
    return phantom[0]


def with_margin(image: NDArray, grey: float, angle: float = 0, share: float = 1 / 3) -> tuple[NDArray, NDArray]:
    """A margin over a third of a section, its edge at an angle and interpolated; and where there is tissue."""
    x, y = np.indices(image.shape)
    distance = x * np.cos(np.deg2rad(angle)) + y * np.sin(np.deg2rad(angle))
    opacity = np.clip(distance - np.quantile(distance, share) + 0.5, 0, 1)
    if angle == 0:
        opacity = np.round(opacity)
    return (opacity * image + (1 - opacity) * grey).round().astype(image.dtype), opacity == 1


def assert_found(image: NDArray, expected: NDArray[np.bool_]) -> None:
    """All that is no tissue is found, and no more than some pixels beside it is lost."""
    found = tissue_mask(image)
    assert not (found & ~expected).sum() > 0.003 * (~expected).sum()
    assert found[binary_erosion(expected, iterations=10, border_value=1)].mean() > 0.999


@pytest.mark.parametrize("angle", [0, 4, 30, 45])
@pytest.mark.parametrize("grey", GREYS)
def test_margins_of_any_grey_and_angle(tissue: NDArray, grey: str, angle: float) -> None:
    assert_found(*with_margin(tissue, GREYS[grey], angle))


@pytest.mark.parametrize("grey", GREYS)
def test_margins_of_compressed_sections(tissue: NDArray, grey: str) -> None:
    image, expected = with_margin(tissue, GREYS[grey], share=0.37)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=75)
    compressed = np.asarray(Image.open(file))
    assert len(np.unique(compressed[~expected])) > 1, "the margin is rippled"
    assert_found(compressed, expected)


def test_faulty_pixels_hide_no_margin(tissue: NDArray) -> None:
    image, expected = with_margin(tissue, 255)
    noisy = image + np.random.default_rng(0).normal(0, 0.7, image.shape)
    noisy[50, 60], noisy[200, 200] = -1e6, 1e6
    noisy[:, 100] = -3.4e38
    assert_found(noisy.astype(np.float32), expected)


FAR = {
    "float32": [-9999, 65535, 1e30, -3.4e38],
    "float64": [-9999, 1e30],
    "uint16": [60_000],
    "uint32": [1_000_000],
    "int32": [1_000_000_000, -1_000_000_000],
}
"""Margins far from tissue of 0 to 1; of integers, what is added to tissue beside a margin of 0."""


def with_far_margin(image: NDArray, dtype: str, far: float, opacity: NDArray) -> NDArray:
    """Tissue where the opacity is 1, a margin where it is 0, and a mixture between."""
    grey, levels = (far, image / 255) if dtype.startswith("float") else (0, image + int(far))
    mixed = opacity * levels + (1 - opacity) * grey
    return (mixed if dtype.startswith("float") else mixed.round()).astype(dtype)


@pytest.mark.parametrize(("dtype", "far"), [(dtype, far) for dtype, fars in FAR.items() for far in fars])
def test_margins_far_from_tissue(tissue: NDArray, dtype: str, far: float) -> None:
    opacity = np.ones(tissue.shape)
    opacity[:60] = opacity[:, :80] = 0
    image = with_far_margin(tissue.astype(np.int64), dtype, far, opacity)
    near = np.where(opacity == 1, tissue, 0 if image[0, 0] < image[-1, -1] else 255).astype(np.uint8)
    expected, inside = SectionLevels.measure(near).whole(near)
    levels, found = SectionLevels.measure(image).whole(image)
    assert (found != inside).mean() < 0.001
    np.testing.assert_allclose(levels[found & inside], expected[found & inside], atol=0.002)
    assert_found(image, opacity == 1)


@pytest.mark.parametrize(("dtype", "far"), [(dtype, far) for dtype, fars in FAR.items() for far in fars])
def test_far_margins_that_are_not_quite_constant(tissue: NDArray, dtype: str, far: float) -> None:
    """Aslant and interpolated over some pixels, and with what rounding or compression leaves of a constant."""
    x, y = np.indices(tissue.shape)
    distance = x + 0.3 * y
    opacity = np.clip((distance - np.quantile(distance, 0.4)) / 3 + 0.5, 0, 1)
    image = with_far_margin(tissue.astype(np.int64), dtype, far, opacity)
    steps = np.random.default_rng(0).integers(0, 4, image.shape)
    noise = steps * np.spacing(np.float32(far)) if image.dtype.kind == "f" else steps
    image = np.where(opacity == 0, image + noise, image).astype(dtype)
    assert_found(image, opacity == 1)


def test_far_margins_on_both_sides_of_most_of_a_section(tissue: NDArray) -> None:
    image = np.full((800, 700), -9999, np.float32)
    image[:100] = 1e30
    image[200:584, 190:510] = tissue / 255
    image[:, 300] = -3.4e38
    expected = np.zeros(image.shape, bool)
    expected[200:584, 190:510] = True
    expected[:, 296:305] = False
    found = tissue_mask(image)
    assert not found[:196].any()
    assert found[binary_erosion(expected, iterations=10)].mean() > 0.999


def test_two_levels_that_are_both_constant_are_no_tissue_beside_a_far_margin() -> None:
    """Which of them is a margin is not known."""
    image = np.zeros((200, 160), np.float32)
    image[50:90, 40:120] = 1
    for high in (1, 1e30):
        assert tissue_mask(high * image).all()
    for noise in (0, 1):
        steps = np.random.default_rng(0).integers(-noise, noise + 1, image.shape)
        assert tissue_mask((30_000 * image + 100 + steps).astype(np.uint16)).any()


def test_a_frame_and_more_than_half_of_the_section(tissue: NDArray) -> None:
    image = np.full((800, 700), 17, np.uint8)
    image[200:584, 190:510] = tissue
    expected = np.zeros(image.shape, bool)
    expected[200:584, 190:510] = True
    assert_found(image, expected)


def test_wide_empty_resin_is_no_tissue(tissue: NDArray) -> None:
    resin = np.random.default_rng(0).normal(200, 6, (1000, 320)).clip(0, 255).astype(np.uint8)
    resin[500, 200] = 0
    image = np.concatenate([tissue, resin, tissue])
    expected = np.zeros(image.shape, bool)
    expected[:384] = expected[-384:] = True
    found = tissue_mask(image, pixel_size=5.0)
    assert found[expected].mean() > 0.995
    assert found[~expected].mean() < 0.1
    assert tissue_mask(image, pixel_size=1.0).all(), "of 1 nm pixels it is a cleft of 1 µm"


@pytest.mark.parametrize("pixel_size", [5.0, 7.3])
def test_resin_is_looked_for_where_a_disc_of_it_may_lie_and_nothing_is_missed(
    tissue: NDArray, monkeypatch: pytest.MonkeyPatch, pixel_size: float
) -> None:
    x, y = np.indices((1152, 960)) - np.array([570, 480]).reshape(2, 1, 1)
    resin = np.random.default_rng(0).normal(200, 6, x.shape).clip(0, 255).astype(np.uint8)
    images = [np.where(np.hypot(x, y) < radius, resin, np.tile(tissue, (3, 3))) for radius in range(120, 360, 24)]
    found = [tissue_mask(image, pixel_size) for image in images]
    assert found[0].all()
    assert not found[-1].all()
    monkeypatch.setattr("scripts.grey_levels.tissue.minimum_filter", lambda mask, *_, **__: np.ones_like(mask))
    for image, mask in zip(images, found, strict=True):
        np.testing.assert_array_equal(tissue_mask(image, pixel_size), mask)


def test_what_is_pale_but_narrow_is_tissue(phantom: tuple) -> None:
    """A lumen without any structure, a large swollen mitochondrion, a saturated one at the border."""
    image = phantom[0].copy()
    x, y = np.indices(image.shape)
    image[(x - 190) ** 2 + (y - 160) ** 2 < 100**2] = 255
    image[100:150, :40] = 0
    assert tissue_mask(image, pixel_size=5.0).all()
    assert tissue_mask(image).all()


@pytest.mark.parametrize("seed", range(3))
def test_sections_of_tissue_are_left_alone(seed: int) -> None:
    section, _ = PhantomTissue(seed, (512, 300), 1).section(0)
    image = acquire(section, np.random.default_rng(seed))
    assert tissue_mask(image).all()
    assert tissue_mask(image, pixel_size=5.0).all()
    smooth = gaussian_filter(image.astype(np.float32), 1.5)
    assert tissue_mask(100 + smooth / 20).all(), "smoothed, and of low contrast"


def test_the_valid_mask_is_obeyed(tissue: NDArray) -> None:
    noise = np.random.default_rng(0).choice(tissue.ravel(), tissue.shape)
    valid = np.zeros(tissue.shape, bool)
    valid[33:, 7:] = True
    image = np.where(valid, tissue, noise)
    np.testing.assert_array_equal(tissue_mask(image, valid=valid), valid)
    with pytest.raises(ValueError, match=r"valid has the shape \(3, 4\), the section \(384, 320\)"):
        tissue_mask(image, valid=np.ones((3, 4), bool))
    with pytest.raises(ValueError, match="pixel_size must be greater than 0 nm, but got -5"):
        tissue_mask(image, pixel_size=-5)


def test_small_and_constant_sections() -> None:
    for shape in ((1, 1), (3, 4000), (7, 9)):
        assert tissue_mask(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)).all()
    assert tissue_mask(np.full((90, 90), 7, np.uint16)).all()
    assert (equalize(np.full((9, 9), 7, np.uint16)) == 0.5).all()
    assert (equalize(np.full((9, 9), 7.0)) == 0.5).all()
    assert (stretch(np.full((9, 9), 7, np.int8)) == 0.5).all()


def test_every_type_is_equalised_alike(tissue: NDArray) -> None:
    expected = equalize(tissue)
    assert expected.dtype == np.float32
    assert (expected.min(), expected.max()) == (0, 1)
    monai = HistogramNormalize(num_bins=4096, min=0, max=1)(tissue.astype(np.float32)).numpy()
    np.testing.assert_allclose(expected, monai, atol=0.01)
    np.testing.assert_array_equal(equalize(tissue.astype(np.uint16) * 201 + 7), expected)
    np.testing.assert_array_equal(equalize(tissue.astype(np.int16) - 100), expected)
    np.testing.assert_array_equal(equalize((tissue // 2).astype(np.int8)), equalize(tissue // 2))
    for other in (
        tissue.astype(np.float32) + np.float32(1e5),
        tissue / 255,
        tissue.astype(np.uint32) + 4_000_000_000,
        tissue.astype(np.int32) - 2_000_000_000,
        tissue.astype(np.int64) * 10**12,
        (tissue / 255).astype(np.float16),
    ):
        np.testing.assert_allclose(equalize(other), expected, atol=0.001)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_faulty_pixels_change_little(tissue: NDArray, dtype: str) -> None:
    expected = equalize(tissue)
    image = tissue.astype(dtype)
    limits = np.finfo if dtype == "float32" else np.iinfo
    image[100, 100] = 1e6 if dtype == "float32" else limits(dtype).max
    image[:, 30] = limits(dtype).min
    sound = np.ones(image.shape, bool)
    sound[100, 100] = sound[:, 30] = False
    np.testing.assert_allclose(equalize(image)[sound], expected[sound], atol=0.006)
    assert equalize(image)[100, 100] == 1
    if dtype != "uint16":  # where black is as far from tissue as tissue reaches
        np.testing.assert_allclose(stretch(image)[sound], stretch(tissue)[sound], atol=0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("far", [-9999, 1e30])
def test_many_missing_rows_and_pixels_far_from_tissue(tissue: NDArray, dtype: str, far: float) -> None:
    """More than a quantile leaves out, and no margin."""
    missing = np.random.default_rng(0).random(tissue.shape) < 0.03
    missing[200:216] = True
    image = with_far_margin(tissue, dtype, far, 1.0 - missing)
    near = np.where(missing, 0 if far < 0 else 255, tissue).astype(np.uint8)
    np.testing.assert_allclose(equalize(image)[~missing], equalize(near)[~missing], atol=0.01)


def test_only_tissue_counts(tissue: NDArray) -> None:
    image, expected = with_margin(tissue, 255)
    alone = equalize(image[expected].reshape(-1, 320))
    np.testing.assert_array_equal(equalize(image, expected)[expected].reshape(-1, 320), alone)
    assert (equalize(image, expected)[~expected] == 1).all()
    np.testing.assert_array_equal(equalize(image, np.zeros(image.shape, bool)), equalize(image))


def test_clipped_quantiles() -> None:
    image = np.arange(1000, dtype=np.uint16).reshape(10, 100)
    clipped = equalize(image, clip=(0.1, 0.9)).ravel()
    assert (clipped[:100] == 0).all()
    assert (clipped[900:] == 1).all()
    np.testing.assert_allclose(clipped[99:900], np.linspace(0, 1, 801), atol=0.002)
    np.testing.assert_allclose(stretch(image, clip=(0, 1)).ravel(), np.linspace(0, 1, 1000), atol=1e-6)
    for clip in ((0.9, 0.1), (-0.1, 1), (0, 1.1), (0, 0.5, 1)):
        with pytest.raises(ValueError, match="clip must be two increasing quantiles from 0 to 1"):
            equalize(image, clip=clip)


def test_tissue_is_mirrored_at_a_straight_edge(tissue: NDArray) -> None:
    mask = np.ones(tissue.shape, bool)
    mask[:40] = mask[:, 300:] = False
    filled = fill_outside(tissue, mask)
    np.testing.assert_array_equal(filled[mask], tissue[mask])
    np.testing.assert_array_equal(filled[:40, :300], tissue[80:40:-1, :300])
    np.testing.assert_array_equal(filled[40:, 300:], tissue[40:, 298:278:-1])


def test_where_there_is_not_enough_tissue_the_nearest_is_repeated(tissue: NDArray) -> None:
    mask = np.zeros(tissue.shape, bool)
    mask[100:110, 100:110] = True
    filled = fill_outside(tissue, mask)
    assert set(np.unique(filled)) <= set(np.unique(tissue[mask]))
    np.testing.assert_array_equal(fill_outside(tissue, np.zeros_like(mask)), tissue)
    with pytest.raises(ValueError, match=r"the mask has the shape \(2, 2\), the section \(384, 320\)"):
        fill_outside(tissue, np.ones((2, 2), bool))


def test_large_sections_are_mirrored_to_within_some_pixels() -> None:
    x, y = np.indices((4100, 3000), np.float32)
    mask = x > 601
    filled = fill_outside(x + y, mask)
    near = (x > 300) & ~mask
    expected = np.abs(2 * 602 - x) + y
    assert np.abs(filled - expected)[near].max() <= 8
    np.testing.assert_array_equal(filled[mask], (x + y)[mask])


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the labelled sections of ../shared/data")
@pytest.mark.parametrize(
    ("images", "labels", "pixel_size"),
    [
        ("drosophila_vnc/stack1/raw", "drosophila_vnc/stack1/mitochondria", 4.6),
        ("sbem_brain/images", "sbem_brain/labels", 7.0),
        ("epfl_hippocampus/images", "epfl_hippocampus/labels", 5.0),
        *((f"small/{name}/images", f"small/{name}/labels", size) for name, size in (
            ("liver_fibsem", 14.0), ("platelet_sbf", 10.0), ("cem_patches", 15.0), ("ratcortex_mitoemR", 8.0),
            ("nerve_tem_handlabel", 8.5),
        )),
    ],
)  # fmt: skip
def test_mitochondria_of_real_sections_are_tissue(images: str, labels: str, pixel_size: float) -> None:
    pairs = zip(sorted((DATA / images).iterdir()), sorted((DATA / labels).iterdir()), strict=True)
    for image, label in list(pairs)[::4]:
        pixels, mitochondria = read_section(image), read_section(label) > 127
        for size in (pixel_size, None):
            found = tissue_mask(pixels, size)
            assert found[mitochondria].all(), image
            assert found.all() or "platelet" in images, image
