from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, label

from scripts.data.phantom import Deformation, PhantomTissue, acquire


@pytest.fixture(scope="module")
def tissue() -> PhantomTissue:
    return PhantomTissue(0, (320, 256), 9)


@pytest.fixture(scope="module")
def sections(tissue: PhantomTissue) -> list[tuple[np.ndarray, np.ndarray]]:
    return [tissue.section(index) for index in range(9)]


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
    with pytest.raises(ValueError, match=r"0 \.\. 8, got 9"):
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


def test_no_deformation_changes_nothing(sections):
    section, truth = sections[0]
    still = Deformation.random((320, 256), np.random.default_rng(0), misalign=False, fold=False)
    assert not still.displacement.any()
    assert not still.fold.any()
    image, moved = still.apply(section, truth)
    np.testing.assert_allclose(image, section, atol=1e-4)
    np.testing.assert_array_equal(moved, truth)


@pytest.mark.parametrize(("misalign", "fold"), [(True, False), (False, True), (True, True)])
def test_displacement_leads_to_the_true_position(sections, misalign, fold):
    section, truth = sections[3]
    deformation = Deformation.random((224, 160), np.random.default_rng(4), misalign, fold)
    image, moved = deformation.apply(section, truth)  # 48 pixels more on each side
    x, y = np.indices((224, 160)) + np.rint(deformation.displacement).astype(int) + 48
    assert (x != np.indices((224, 160))[0] + 48).any()
    seen = ~binary_dilation(deformation.fold, iterations=8)
    assert np.mean(moved[seen] == truth[x, y][seen]) > 0.99
    assert np.corrcoef(image[seen], section[x, y][seen])[0, 1] > 0.9
    assert deformation.fold.any() == fold
    assert not moved[deformation.fold].any()


@pytest.mark.parametrize("seed", range(8))
def test_size_of_deformation(seed):
    deformation = Deformation.random((200, 120), np.random.default_rng(seed), misalign=True, fold=True)
    assert 2 < np.abs(deformation.displacement).max() < 40  # a fifth of the longer side
    assert 0.01 < deformation.fold.mean() < 0.12


def test_fold_tears_and_darkens():
    size = (200, 200)
    deformation = Deformation.random(size, np.random.default_rng(1), misalign=False, fold=True)
    steps = np.abs(np.diff(deformation.displacement, axis=1)).sum(axis=0)
    across = np.abs(np.diff(deformation.displacement, axis=2)).sum(axis=0)
    assert max(steps.max(), across.max()) > 0.04 * 200  # the jump lies under the fold
    assert not (steps[~(deformation.fold[1:] | deformation.fold[:-1])] > 1).any()
    image, _ = deformation.apply(np.full(size, 0.6, np.float32), np.ones(size, np.uint8))
    assert image[deformation.fold].max() < 0.4
    assert image[deformation.edge > 20].min() == pytest.approx(0.6, abs=1e-3)
