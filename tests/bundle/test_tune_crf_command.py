from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.data.combine import combine
from bundle.runs import ROOT, ScoredSection
from bundle.studies import tune_crf as module
from bundle.studies.evaluate import evaluate_sets
from bundle.studies.tune_crf import BINS, best_threshold, search, tune_crf, write_values
from scripts.networks import FusionFCN

PARAMETERS = {
    "gaussian_sxy": 1.1,
    "gaussian_compat": 2.2,
    "bilateral_sxy": 33.0,
    "bilateral_srgb": 4.4,
    "bilateral_compat": 0.55,
    "iterations": 5,
}
THRESHOLDS = ("threshold", "threshold_without_crf")
GAIN = {
    "without_crf": {"jaccard": 0.8, "threshold": 0.55},
    "with_crf": {"jaccard": 0.9, "threshold": 0.45, "parameters": PARAMETERS},
}


@pytest.fixture
def tuned(tmp_path: Path, tiny_phantom: Path, tiny: dict) -> dict:
    """Arguments of the command, for an untrained network."""
    torch.manual_seed(0)
    torch.save(FusionFCN(width=0.125).state_dict(), tmp_path / "model.pt")
    return {"checkpoint": str(tmp_path / "model.pt"), "data": str(tiny_phantom), **tiny}


def test_best_threshold_against_counting() -> None:
    generator = np.random.default_rng(0)
    label = generator.random(5000) < 0.2
    score = np.clip(0.3 * label + generator.normal(0.4, 0.15, 5000), 0, 1)
    found = best_threshold(module.score_counts(score, label))
    jaccard = {t / BINS: (label & (score >= t / BINS)).sum() / (label | (score >= t / BINS)).sum() for t in range(BINS)}
    assert found["jaccard"] == pytest.approx(max(jaccard.values()), abs=1e-4)
    assert jaccard[found["threshold"]] == max(jaccard.values())


def test_of_equally_good_thresholds_the_middle_one_is_taken() -> None:
    assert best_threshold(module.score_counts(np.array([0.1, 0.9]), np.array([False, True])))["threshold"] == 0.5


def test_search_finds_parameters_that_remove_noise() -> None:
    """Probabilities with salt-and-pepper errors over an image that shows the truth: a CRF can mend nearly all."""
    generator = np.random.default_rng(0)
    x, y = np.mgrid[:64, :64]
    label = (x - 32) ** 2 + (y - 30) ** 2 < 15**2
    wrong = generator.random(label.shape) < 0.1
    score = np.where(label ^ wrong, 0.7, 0.3).astype(np.float32)
    section = ScoredSection(
        np.where(label, 0.3, 0.7).astype(np.float32)[None],
        label,
        np.stack([1 - score, score]).astype(np.float32),
        np.ones(label.shape, bool),
    )
    found = search([section], trials=6, seed=0)
    assert len(found["trials"]) == 6
    assert found["trials"][0]["parameters"] == json.loads((ROOT / "configs" / "train.json").read_text())["crf"]
    assert found["with_crf"]["jaccard"] == max(trial["jaccard"] for trial in found["trials"]) > 0.97
    assert found["without_crf"]["jaccard"] == pytest.approx((label & ~wrong).sum() / (label | wrong).sum(), abs=1e-4)
    with pytest.raises(ValueError, match="method must be one of grid, permutohedral, got 'lattice'"):
        search([section], trials=1, seed=0, method="lattice")


def test_values_are_written_into_configs_whose_layout_stays(tmp_path: Path) -> None:
    text = '{\n    "threshold": 0.5,\n    "crf": {\n        "gaussian_sxy": 3.0\n    }\n}\n'
    (tmp_path / "a.json").write_text(text)
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(ValueError, match=r"b\.json: 'absent' stands 0 times"):
        write_values({tmp_path / "a.json": {"threshold": 0.45}, tmp_path / "b.json": {"absent": 1}})
    assert (tmp_path / "a.json").read_text() == text
    assert write_values({tmp_path / "a.json": {"threshold": 0.45, "gaussian_sxy": 1.7}}) == ["a.json"]
    assert (tmp_path / "a.json").read_text() == text.replace("0.5", "0.45").replace("3.0", "1.7")


def test_the_real_configs_can_be_written(tmp_path: Path, tuned: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that gains something changes the same values in all configs, and nothing else."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "search", lambda *_: GAIN)
    assert tune_crf(**tuned, write=True)["written"] == ["train.json", "evaluate.json", "inference.json"]
    for name, keys in (("train", ("crf",)), ("evaluate", THRESHOLDS), ("inference", ("crf", *THRESHOLDS))):
        new, old = (json.loads((root / "configs" / f"{name}.json").read_text()) for root in (tmp_path, ROOT))
        values = {"crf": {**PARAMETERS, "iterations": 5}, "threshold": 0.45, "threshold_without_crf": 0.55}
        assert new == {**old, **{key: values[key] for key in keys}}


def test_nothing_is_written_without_a_gain(tuned: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = {**GAIN, "without_crf": {"jaccard": 0.95, "threshold": 0.5}}
    monkeypatch.setattr(module, "search", lambda *_: loss)
    monkeypatch.setattr(module, "write_values", lambda *_: pytest.fail("written"))
    assert tune_crf(**tuned, write=True)["written"] == []


@pytest.mark.parametrize("arguments", [{"network": "vnet"}, {"trials": 0}])
def test_arguments_are_checked_first(arguments: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        tune_crf("nowhere.pt", "nowhere", **arguments)


def test_what_is_tuned_is_what_the_evaluation_reports(tiny_phantom: Path, tuned: dict, tmp_path: Path) -> None:
    """On the same sections, the figures of the search and those of the evaluation agree."""
    summary = tune_crf(**tuned, trials=2, output=str(tmp_path / "trials.json"))
    written = json.loads((tmp_path / "trials.json").read_text())
    assert len(written["trials"]) == 2
    content = json.loads((tiny_phantom / "datalist.json").read_text())
    items = [{key: str(tiny_phantom / item[key]) for key in ("image", "label")} for item in content["validation"]]
    (tmp_path / "datalist.json").write_text(json.dumps({"test": items}))
    settings = {key: value for key, value in tuned.items() if key != "data"}
    results = evaluate_sets(
        str(tmp_path),
        network="fusion_fcn",
        **{f"crf#{key}": value for key, value in summary["with_crf"]["parameters"].items()},
        threshold=summary["with_crf"]["threshold"],
        threshold_without_crf=summary["without_crf"]["threshold"],
        **settings,
    )[tmp_path.name]
    for name, result in results.items():
        assert result["jaccard"] == pytest.approx(summary[name]["jaccard"], abs=1e-3)


def test_a_list_whose_validation_was_trained_on_decides_nothing(
    tuned: dict, tmp_path: Path, tiny_phantom: Path
) -> None:
    lists = [str(tiny_phantom / "datalist.json")] * 2
    combine(*lists, output=str(tmp_path / "refit"), refit=True)
    with pytest.raises(ValueError, match="which can decide nothing"):
        tune_crf(**{**tuned, "data": str(tmp_path / "refit")})
