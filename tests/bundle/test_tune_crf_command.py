from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle import tune_crf as module
from bundle.tune_crf import BINS, best_threshold, search, tune_crf
from bundle.workflow import ScoredSection
from scripts.networks import FusionFCN

FIRST = {
    "gaussian_sxy": 3.0,
    "gaussian_compat": 0.5,
    "bilateral_sxy": 5.0,
    "bilateral_srgb": 20.0,
    "bilateral_compat": 1.0,
    "iterations": 5,
}


def test_best_threshold_against_counting() -> None:
    generator = np.random.default_rng(0)
    label = generator.random(5000) < 0.2
    score = np.clip(0.3 * label + generator.normal(0.4, 0.15, 5000), 0, 1)
    found = best_threshold(module._counts(score, label))
    jaccard = {t / BINS: (label & (score >= t / BINS)).sum() / (label | (score >= t / BINS)).sum() for t in range(BINS)}
    assert found["jaccard"] == pytest.approx(max(jaccard.values()), abs=1e-4)
    assert jaccard[found["threshold"]] == max(jaccard.values())


def test_of_equally_good_thresholds_the_middle_one_is_taken() -> None:
    assert best_threshold(module._counts(np.array([0.1, 0.9]), np.array([False, True])))["threshold"] == 0.5


def test_search_finds_parameters_that_remove_noise() -> None:
    """Probabilities with salt-and-pepper errors over an image that shows the truth: a CRF can mend nearly all."""
    generator = np.random.default_rng(0)
    x, y = np.mgrid[:64, :64]
    label = (x - 32) ** 2 + (y - 30) ** 2 < 15**2
    wrong = generator.random(label.shape) < 0.1
    score = np.where(label ^ wrong, 0.7, 0.3).astype(np.float32)
    section = ScoredSection(
        np.where(label, 0.3, 0.7).astype(np.float32)[None], label, np.stack([1 - score, score]).astype(np.float32)
    )
    found = search([section], trials=6, seed=0, first=FIRST)
    assert len(found["trials"]) == 6
    assert found["trials"][0]["parameters"] == FIRST
    assert found["with_crf"]["jaccard"] == max(trial["jaccard"] for trial in found["trials"]) > 0.97
    assert found["without_crf"]["jaccard"] == pytest.approx((label & ~wrong).sum() / (label | wrong).sum(), abs=1e-4)


def test_values_are_written_into_a_config_whose_layout_stays(tmp_path: Path) -> None:
    config = tmp_path / "train.json"
    config.write_text(
        '{\n    "threshold": 0.5,\n    "crf": {\n        "gaussian_sxy": 3.0,\n        "iterations": 5\n    }\n}\n'
    )
    module._write_values(config, {"gaussian_sxy": 1.7, "iterations": 5, "threshold": 0.45, "absent": 1})
    assert config.read_text() == (
        '{\n    "threshold": 0.45,\n    "crf": {\n        "gaussian_sxy": 1.7,\n        "iterations": 5\n    }\n}\n'
    )


@pytest.mark.parametrize("arguments", [{"network": "vnet"}, {"trials": 0}])
def test_arguments_are_checked_first(arguments: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        tune_crf("nowhere.pt", "nowhere", **arguments)


def test_tune_crf_looks_at_the_validation_part_only(tiny_phantom: Path, tmp_path: Path, tiny: dict) -> None:
    torch.manual_seed(0)
    torch.save(FusionFCN(width=0.125).state_dict(), tmp_path / "model.pt")
    content = json.loads((tiny_phantom / "datalist.json").read_text())
    items = [
        {key: str(tiny_phantom / value) for key, value in item.items() if key in ("image", "label")}
        for item in content["validation"]
    ]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": items, "validation": items}))
    summary = tune_crf(
        str(tmp_path / "model.pt"), str(tmp_path), trials=2, output=str(tmp_path / "trials.json"), **tiny
    )
    written = json.loads((tmp_path / "trials.json").read_text())
    assert len(written["trials"]) == 2
    assert summary["with_crf"] == written["with_crf"]
