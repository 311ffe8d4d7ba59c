"""Weights of two networks as those of their ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bundle.release.ensemble import ensemble
from bundle.release.publish import mean_logit
from bundle.runs import load_network, score
from scripts.handlers.loading import read_weights
from scripts.networks import FusionFCN, UNet
from scripts.weights import default_settings, read_record, save_weights, sha256_of

SEEN = {"network_pixel_size": 5.0, "equalize": "section", "dropout": 0.2}


def _save(path: Path, network: torch.nn.Module, width: float, **settings: Any) -> str:
    name = type(network).__name__
    record = {
        "settings": {
            **default_settings(),
            **SEEN,
            "network_class": f"scripts.networks.{name}",
            "width": width,
            **settings,
        },
        "training_data": {name: "CC0-1.0"},
        "seed": 3,
    }
    save_weights(network.state_dict(), path, record)
    return str(path)


@pytest.fixture
def members(tmp_path: Path) -> dict[str, str]:
    torch.manual_seed(0)
    return {
        "fusion_fcn": _save(tmp_path / "fusion_fcn.pt", FusionFCN(width=0.125), 0.125),
        "unet": _save(tmp_path / "unet.pt", UNet(width=0.0625), 0.0625, overlap=0.5),
    }


def test_it_scores_by_the_mean_of_both_and_says_what_it_was_made_of(
    members: dict[str, str], tiny_phantom: Path, tmp_path: Path
) -> None:
    how = {"patch_size": 64, "num_workers": 0, "device": "$torch.device('cpu')", "amp": False}
    text = ensemble(str(tiny_phantom), **members, output=str(tmp_path / "both"), **how)
    weights = tmp_path / "both.pt"
    record = read_record(weights)
    assert record["settings"]["network_class"] == "scripts.networks.Ensemble"
    assert record["settings"]["width"] == 0.125
    assert record["settings"]["overlap"] == 0.5
    assert {key: record["settings"][key] for key in SEEN} == SEEN
    assert record["training_data"] == {"FusionFCN": "CC0-1.0", "UNet": "CC0-1.0"}
    origins = {name: {"file": file, "sha256": sha256_of(file), "seed": 3} for name, file in members.items()}
    assert record["ensemble"] == origins
    assert record["check"]["mean_logit"] == mean_logit(load_network(weights))
    assert {value.dtype for value in read_weights(weights).values()} == {torch.float16, torch.int64}
    assert f"phantom: {record['validation']['jaccard']['phantom']:.3f}" in text
    data = {"part": "validation", "dataset_dir": str(tiny_phantom), "overlap": 0.5, **how}
    one, other, both = (
        score("inference", "evaluate", checkpoint=str(file), **data) for file in (*members.values(), weights)
    )
    for sections in zip(one, other, both, strict=True):
        first, second, found = (section.probabilities for section in sections)
        # windows are joined by their log-odds
        np.testing.assert_allclose(found, (first + second) / 2, atol=0.02)
    assert {tuple(np.unique(section.label)) for section in both} == {(False, True)}


def test_a_given_threshold_needs_no_labels(members: dict[str, str], tmp_path: Path) -> None:
    text = ensemble(**members, output=str(tmp_path / "both"), threshold=0.4)
    record = read_record(tmp_path / "both.pt")
    assert {key: record["settings"][key] for key in ("threshold", "threshold_without_crf")} == {
        "threshold": 0.4,
        "threshold_without_crf": 0.4,
    }
    assert "validation" not in record
    assert text == f"Weights: {tmp_path / 'both.pt'}, record: {tmp_path / 'both.json'}"
    assert record["check"]["mean_logit"] == mean_logit(load_network(tmp_path / "both.pt"))


@pytest.mark.parametrize(
    ("data", "change", "message"),
    [
        ([], {}, "name the folder of at least one set"),
        (["data"], {"threshold": 0.5}, r"nothing is scored with a given threshold, so \['data'\] are of no use"),
        ([], {"threshold": 0.5, "amp": False}, r"nothing is scored .* \['amp'\] are of no use"),
        ([], {"threshold": 1.0}, "threshold must lie between 0 and 1, but got 1.0"),
        ([], {"threshold": "high"}, "threshold must lie between 0 and 1, but got 'high'"),
    ],
)
def test_a_threshold_is_chosen_or_given(
    members: dict[str, str], tmp_path: Path, data: list[str], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ensemble(*data, **members, output=str(tmp_path / "both"), **change)
    assert not (tmp_path / "both.pt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0.125}, r"unet\.pt: the U-Net must have half the width of the Fusion FCN, 0\.125, but has 0\.125"),
        ({"network_pixel_size": 8.0}, r"must see sections as .*fusion_fcn\.pt does, but has network_pixel_size = 8\.0"),
        ({"equalize": "tissue"}, r"but has equalize = 'tissue', not 'section'"),
    ],
)
def test_networks_that_do_not_fit_together(
    members: dict[str, str], tiny_phantom: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    settings = {"width": 0.0625, **change}
    _save(Path(members["unet"]), UNet(width=settings["width"]), **settings)
    with pytest.raises(ValueError, match=message):
        ensemble(str(tiny_phantom), **members, output=str(tmp_path / "both"))
    assert not (tmp_path / "both.pt").exists()


def test_two_of_a_kind(members: dict[str, str], tiny_phantom: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"fusion_fcn\.pt: unet must be weights of a UNet, but got those of a FusionFCN"
    ):
        ensemble(
            str(tiny_phantom),
            fusion_fcn=members["fusion_fcn"],
            unet=members["fusion_fcn"],
            output=str(tmp_path / "two"),
        )
