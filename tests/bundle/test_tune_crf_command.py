from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from bundle.data.combine import combine
from bundle.runs import ROOT, ScoredSection
from bundle.studies import tune_crf as module
from bundle.studies.evaluate import evaluate_sets
from bundle.studies.tune_crf import BINS, best_threshold, search, tune_crf
from scripts.networks import FusionFCN
from scripts.weights import default_settings, read_record, record_path, save_weights, sha256_of

PARAMETERS = {
    "gaussian_sxy": 1.1,
    "gaussian_compat": 2.2,
    "bilateral_sxy": 33.0,
    "bilateral_srgb": 4.4,
    "bilateral_compat": 0.55,
    "iterations": 5,
}
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


@pytest.mark.parametrize("method", ["grid", pytest.param("permutohedral", marks=pytest.mark.slow)])
def test_search_finds_parameters_that_remove_noise(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities with salt-and-pepper errors over an image that shows the truth: a CRF can mend nearly all."""
    monkeypatch.setattr(module, "WORKERS", 1)  # each is started anew
    generator = np.random.default_rng(0)
    x, y = np.mgrid[:64, :64]
    label = (x - 32) ** 2 + (y - 30) ** 2 < 15**2
    wrong = generator.random(label.shape) < 0.1
    score = np.where(label ^ wrong, 0.7, 0.3).astype(np.float32)
    section = ScoredSection(
        np.where(label, 0.3, 0.7).astype(np.float32)[None],
        label,
        score[None],
        np.ones(label.shape, bool),
    )
    first = default_settings()["crf"]
    found = search([section], n_trials=6, seed=0, first=first, method=method)
    assert len(found["trials"]) == 6
    assert found["trials"][0]["parameters"] == first
    assert found["with_crf"]["jaccard"] == max(trial["jaccard"] for trial in found["trials"]) > 0.97
    assert found["without_crf"]["jaccard"] == pytest.approx((label & ~wrong).sum() / (label | wrong).sum(), abs=1e-4)
    with pytest.raises(ValueError, match="method must be one of grid, permutohedral, but got 'lattice'"):
        search([section], n_trials=1, seed=0, first=first, method="lattice")


@pytest.mark.parametrize("recorded", [True, False])
def test_a_gain_is_written_into_the_record_of_the_weights(
    tuned: dict, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    """Only what was tuned changes there, and inference takes it up."""
    checkpoint = Path(tuned["checkpoint"])
    if recorded:
        save_weights(torch.load(checkpoint), checkpoint, {"settings": {"width": 0.125}, "seed": 3})
    before = read_record(checkpoint)
    monkeypatch.setattr(module, "search", lambda *_: GAIN)
    assert tune_crf(**tuned, write=True)["written"] == str(record_path(checkpoint))
    record = read_record(checkpoint)
    assert {**record, "settings": None} == {**before, "settings": None, "sha256": sha256_of(checkpoint)}
    new = {"crf": PARAMETERS, "threshold": 0.45, "threshold_without_crf": 0.55}
    assert record["settings"] == {**default_settings(), "width": 0.125, "network_pixel_size": 5.0, **new}
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "inference.json"))
    parser["checkpoint"] = str(checkpoint)
    assert parser.get_parsed_content("refinement").parameters == {**PARAMETERS, "method": "grid"}
    assert parser.get_parsed_content("thresholds") == {"with_crf": 0.45, "without_crf": 0.55}


def test_only_tissue_counts() -> None:
    """Probabilities outside of the tissue decide nothing, as in the evaluation and in masks."""
    tissue = np.array([[True, False]])
    probabilities = np.array([[[0.8, 0.9]]], np.float32)
    section = ScoredSection(np.zeros((1, 1, 2), np.float32), tissue, probabilities, tissue)
    np.testing.assert_array_equal(section.mitochondria, np.array([[0.8, 0]], np.float32))


def test_nothing_is_written_without_a_gain(tuned: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = {**GAIN, "without_crf": {"jaccard": 0.95, "threshold": 0.5}}
    monkeypatch.setattr(module, "search", lambda *_: loss)
    assert tune_crf(**tuned, write=True)["written"] is None
    assert not record_path(tuned["checkpoint"]).exists()


@pytest.mark.parametrize("arguments", [{"network": "vnet"}, {"n_trials": 0}])
def test_arguments_are_checked_first(arguments: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        tune_crf("nowhere.pt", "nowhere", **arguments)


@pytest.mark.slow
def test_what_is_tuned_is_what_the_evaluation_reports(tiny_phantom: Path, tuned: dict, tmp_path: Path) -> None:
    """On the same sections, the figures of the search and those of the evaluation agree."""
    summary = tune_crf(**tuned, n_trials=2, output=str(tmp_path / "trials.json"))
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
    datalist = tmp_path / "refit" / "datalist.json"
    datalist.write_text(datalist.read_text(), encoding="utf-8-sig")  # as editors of Windows do
    with pytest.raises(ValueError, match="holds its validation part"):
        tune_crf(**{**tuned, "data": str(tmp_path / "refit")})
