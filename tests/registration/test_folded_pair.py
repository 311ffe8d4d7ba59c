"""The real pair of sections with a fold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from bundle.runs import ROOT
from scripts.io import read_section
from scripts.registration import (
    FoldDetector,
    MovingLeastSquares,
    Neighbour,
    PairRegistration,
    SIFTFeatures,
    Transformation,
    background_mask,
    match_patches,
)

FOLDER = ROOT.parent / "shared" / "data" / "folded_section"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the real folded pair in ../shared")


@pytest.mark.slow
@pytest.mark.parametrize("given", [True, False])
def test_both_sides_of_the_fold_agree_with_the_reference(given: bool) -> None:
    reference, damaged = (read_section(FOLDER / f"{name}.png") for name in ("reference", "damaged"))
    fold = read_section(FOLDER / "damage_mask.png") > 127
    neighbour = Neighbour(reference, background_mask(reference))
    still = Transformation.affine(damaged.shape, np.eye(2, 3))
    register = PairRegistration(SIFTFeatures(), MovingLeastSquares(), FoldDetector())
    transformation = register(damaged, [neighbour], still, fold if given else None).transformation
    assert (transformation.fold & fold).sum() > 0.7 * (transformation.fold | fold).sum()
    sides, _ = label(~fold)
    for number in np.argsort(-np.bincount(sides.ravel())[1:])[:2] + 1:
        hidden = (sides != number) | background_mask(damaged)
        # patches that were not fitted
        found = match_patches(damaged, hidden, reference, neighbour.invalid_mask, transformation, 64, 40, 29.0)
        assert len(found) > 100
        assert np.median(np.linalg.norm(found.targets - found.expected, axis=1)) < 3
        assert np.median(found.initial_correlation) > 0.3
