from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bundle.runs import ScoredSection
from bundle.studies.continuity import _compare as compare
from bundle.studies.continuity import continuity
from bundle.studies.evaluate import evaluate_sets
from scripts.instances import smooth_through

WEIGHTS = str(Path(__file__).parents[2] / "models" / "model.pt")


def test_plain_masks_are_those_of_the_evaluation(tiny_phantom: Path, tmp_path: Path) -> None:
    table = continuity(str(tiny_phantom), checkpoint=WEIGHTS, output=str(tmp_path / "figures.json"))
    figures = json.loads((tmp_path / "figures.json").read_text())["sets"]["phantom"]
    known = evaluate_sets(str(tiny_phantom), checkpoint=WEIGHTS, network="fusion_fcn")["phantom"]["with_crf"]
    assert figures["plain"] == pytest.approx(known["jaccard"], abs=1e-4)
    assert figures["sections"] == 2
    assert f"| phantom | 2 | {figures['plain']:.3f} |" in table


def test_what_neighbours_know() -> None:
    """The middle section has a faint spot in a tube, and a false one that no neighbour has."""
    label = np.zeros((40, 40), bool)
    label[10:20] = True
    scores = [np.where(label, 0.9, 0.1).astype(np.float32) for _ in range(3)]
    scores[1][10:20, 10:15] = 0.3
    scores[1][30:35, 5:15] = 0.8
    tissue = np.ones((40, 40), bool)
    sections = [ScoredSection(score[None], label, score[None], tissue) for score in scores]
    figures = compare(sections, scores, threshold=0.5, smoothing=0.25)
    true = 3 * 400
    assert figures == {
        "plain": (true - 50) / (true + 50),
        "smoothing": 1,
        "require_support": (true - 50) / true,
        "both": 1,
    }


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


def test_no_set() -> None:
    with pytest.raises(ValueError, match="at least one set"):
        continuity(checkpoint=WEIGHTS)
