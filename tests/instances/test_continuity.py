from __future__ import annotations

import numpy as np
import pytest

from scripts.instances import smooth_through


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_the_threshold_does_not_decide_what_neighbours_are_worth(threshold: float) -> None:
    """A section that is sure outweighs neighbours that are not, at any threshold; the other way round as well."""
    surely, hardly, shape = 0.05, 0.45, (50, 50)
    low, high = (lambda share: threshold * (1 - share)), (lambda share: threshold + (1 - threshold) * share)
    scores = np.full((3, *shape), low(0.99), np.float32)
    scores[:, :40] = high(0.99)  # in which they agree
    scores[1, 40:45], scores[0::2, 40:45] = high(1 - surely), low(hardly)
    scores[1, :5], scores[0::2, :5] = low(hardly), high(1 - surely)
    smooth = smooth_through(scores[1], scores[0::2], threshold)
    assert (smooth[:45] >= threshold).all()
    assert (smooth[45:] < threshold).all()
    assert smooth == pytest.approx(smooth_through(scores[1], scores[2::-2], threshold), abs=1e-6)
    alone = smooth_through(scores[1], (None, None), threshold)
    assert alone == pytest.approx(scores[1], abs=1e-6)


@pytest.mark.parametrize(("threshold", "weight"), [(0.0, 0.25), (1.0, 0.25), (0.5, 0.5), (0.5, -0.1)])
def test_out_of_range(threshold: float, weight: float) -> None:
    with pytest.raises(ValueError, match="must be within"):
        smooth_through(np.zeros((4, 4), np.float32), (), threshold, weight)
