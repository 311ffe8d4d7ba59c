from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bundle.runs import ScoredSection
from bundle.studies.continuity import _compare as compare
from bundle.studies.continuity import continuity
from bundle.studies.evaluate import evaluate_sets

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


def test_no_set() -> None:
    with pytest.raises(ValueError, match="at least one set"):
        continuity(checkpoint=WEIGHTS)


def test_a_threshold_that_is_given_is_used(tiny_phantom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.zeros((40, 40), bool)
    label[10:20] = True
    section = ScoredSection(np.zeros((1, 40, 40), np.float32), label, np.where(label, 0.9, 0.7)[None], label | True)
    module = sys.modules["bundle.studies.continuity"]
    monkeypatch.setattr(module, "score", lambda *_, **__: [section])
    monkeypatch.setattr(module, "dense_crf", lambda probabilities, image, **_: probabilities)
    for threshold, jaccard in ((0.8, "1.000"), (0.6, "0.250"), (0.95, "0.000")):
        table = continuity(str(tiny_phantom), checkpoint=WEIGHTS, threshold=threshold)
        assert f"| phantom | 1 | {jaccard} |" in table
