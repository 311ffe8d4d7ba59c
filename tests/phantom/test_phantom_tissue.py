from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, label

from scripts.phantom import PhantomTissue, acquire


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def test_shapes_and_types(sections):
    for section, truth in sections:
        assert section.shape == truth.shape == (320, 256)
        assert section.dtype == np.float32
        assert truth.dtype == np.uint8
        assert set(np.unique(truth)) == {0, 1}


def test_equal_seeds_give_equal_tissue(sections):
    again = PhantomTissue(np.random.SeedSequence(0), (320, 256), 9)
    for index in (7, 2):  # the order of the sections does not matter
        for expected, got in zip(sections[index], again.section(index), strict=True):
            np.testing.assert_array_equal(got, expected)
    other = PhantomTissue(1, (320, 256), 9).section(2)[1]
    assert jaccard(other > 0, sections[2][1] > 0) < 0.5


def test_mitochondria_continue_through_the_sections(sections):
    truth = [truth > 0 for _, truth in sections]
    adjacent = np.mean([jaccard(truth[i], truth[i + 1]) for i in range(8)])
    assert adjacent > 0.35  # real sections of 50 nm: 0.44
    assert adjacent > jaccard(truth[0], truth[8]) + 0.2


def test_cristae_continue_through_the_sections(sections):
    correlations = []
    smooth = [(gaussian_filter(section, 1.5), truth) for section, truth in sections]
    for (section, truth), (following, next_truth) in itertools.pairwise(smooth):
        matrices, count = label(binary_erosion(truth & next_truth, iterations=8))
        for matrix in (matrices == number for number in range(1, count + 1)):
            if matrix.sum() > 300:
                correlations.append(np.corrcoef(section[matrix], following[matrix])[0, 1])
    assert len(correlations) > 5
    assert np.mean(correlations) > 0.2


def test_mitochondria_are_dark_and_bounded_by_a_darker_membrane(sections):
    rings, matrices, cytoplasm = [], [], []
    for section, truth in sections:
        rings.append(section[truth.astype(bool) & ~binary_erosion(truth, iterations=2, border_value=1)])
        matrices.append(section[binary_erosion(truth, iterations=8, border_value=1)])
        cytoplasm.append(section[~binary_dilation(truth, iterations=3)])
    # medians: the cristae in the matrix are as dark as the membrane
    ring, matrix, outside = (np.median(np.concatenate(parts)) for parts in (rings, matrices, cytoplasm))
    assert ring < matrix < outside - 0.1


@pytest.mark.slow
def test_some_percent_of_the_area_and_no_threshold_finds_it():
    sections = [PhantomTissue(seed, (384, 384), 3).section(1) for seed in range(4)]
    truth = np.stack([truth > 0 for _, truth in sections])
    images = np.stack([acquire(section, np.random.default_rng(seed)) for seed, (section, _) in enumerate(sections)])
    assert 0.03 < truth.mean() < 0.15
    assert max(jaccard(images < level, truth) for level in range(4, 256, 4)) < 0.4


@pytest.mark.parametrize("seed", range(4))
def test_the_middle_of_the_smallest_block_shows_a_mitochondrion(seed):
    assert PhantomTissue(seed, (64, 64), 3).section(1)[1].mean() > 0.05


def test_pixel_size_scales_the_picture():
    fine = PhantomTissue(3, (128, 128), 1, pixel_size=4).section(0)[1]
    coarse = PhantomTissue(3, (64, 64), 1, pixel_size=8).section(0)[1]
    assert jaccard(fine[::2, ::2] > 0, coarse > 0) > 0.95


def test_section_out_of_range(tissue):
    with pytest.raises(ValueError, match=r"0 \.\. 8, but got 9"):
        tissue.section(9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (0, 64)}, "size"),
        ({"sections": 0}, "sections"),
        ({"pixel_size": 0.0}, "pixel_size"),
        ({"thickness": float("nan")}, "thickness"),
        ({"fraction": 0.5}, "fraction"),
    ],
)
def test_bad_tissue(arguments, message):
    with pytest.raises(ValueError, match=message):
        PhantomTissue(**{"seed": 0, "size": (64, 64), "sections": 1} | arguments)


def test_grey_levels_differ_between_acquisitions(sections):
    images = [acquire(sections[0][0], np.random.default_rng(seed)) for seed in range(8)]
    assert all(image.dtype == np.uint8 and image.shape == (320, 256) for image in images)
    assert np.std([image.mean() for image in images]) > 10
    contrasts = [image.std() for image in images]
    assert max(contrasts) > 1.2 * min(contrasts)
