from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from scripts.phantom import Deformation


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
