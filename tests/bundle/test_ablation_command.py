from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundle.studies.ablation import ablation, markdown


@pytest.mark.slow
def test_from_training_to_table_and_only_once(
    tiny_phantom: Path, tmp_path: Path, tiny: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundle.studies.ablation.EPOCHS", 4)
    settings = {**tiny, "output": str(tmp_path / "out"), "runs": str(tmp_path / "runs"), "patches": 8, "n_trials": 2}
    table = ablation(str(tiny_phantom), **settings)
    figures = json.loads((tmp_path / "out" / "phantom.json").read_text())
    assert (tmp_path / "out" / "phantom.md").read_text() == table == markdown(figures)
    assert figures["patches"] == 8
    assert [(cell["network"], cell["input"]) for cell in figures["cells"]] == [
        ("unet", "raw"),
        ("unet", "equalised"),
        ("fusion_fcn", "raw"),
        ("fusion_fcn", "equalised"),
    ]
    runs = tmp_path / "runs" / "phantom"
    for cell in figures["cells"]:
        folder = runs / f"{cell['network']}_{cell['input']}_0"
        assert json.loads((folder / "settings.json").read_text())["settings"]["patches_per_epoch"] == 2
        report = json.loads((folder / "test" / "jaccard.json").read_text())
        assert report["equalize"] == {"raw": "none", "equalised": "section"}[cell["input"]]
        assert report["crf"] == cell["with_crf"]["validation"]["parameters"]
        for name in ("without_crf", "with_crf"):
            assert report[name] == cell[name]["test"]
            assert report["thresholds"][name] == cell[name]["validation"]["threshold"]
    picture = np.asarray(Image.open(tmp_path / "out" / "phantom.jpg"))
    assert picture.shape == (2 * 96 + 8, 4 * 96 + 3 * 8, 3)
    # a second run takes what is there
    for changed in ({"patches": 12}, {"width": 0.25}, {"n_trials": 3}):
        with pytest.raises(ValueError, match=r"(settings|cell)\.json: "):
            ablation(str(tiny_phantom), **{**settings, **changed})
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    ablation(str(tiny_phantom), **settings)
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()} == before


def test_the_table_of_several_seeds_gives_mean_and_standard_deviation() -> None:
    def cell(network: str, inputs: str, value: float) -> dict:
        test = {"jaccard": value, "mean_over_sections": value - 0.1}
        return {"network": network, "input": inputs, "without_crf": {"test": test}, "with_crf": {"test": test}}

    cells = [
        cell(network, inputs, value)
        for network in ("unet", "fusion_fcn")
        for inputs in ("raw", "equalised")
        for value in (0.6, 0.7, 0.8)
    ]
    figures = {"seeds": [0, 1, 2], "cells": cells, "data": "d", "patches": 1, "machines": ["m"], "width": 1}
    table = markdown(figures)
    assert table.count("0.700 ± 0.100 (0.600)") == 8
    assert "mean ± standard deviation of 3 seeds" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": ()}, "seeds must be"),
        ({"seeds": (1, 1)}, "seeds must be different"),
        ({"patches": 50}, "patches must be a multiple of the 20 epochs, but got 50"),
        ({"n_trials": 0}, "n_trials must be"),
        ({"encoder_weights": "imagenet"}, "encoder_weights need a width of 1, but got 0.25"),
        ({"epochs": 3}, "--epochs cannot be given here"),
        ({"init_checkpoint": "model.pt"}, "--init_checkpoint cannot be given here"),
        ({"init_checkpoints": {"resnet": "model.pt"}}, "must name weights for unet or fusion_fcn, but got"),
        ({"init_checkpoints": "model.pt"}, "must name weights for unet or fusion_fcn, but got model.pt"),
    ],
)
def test_mistakes_are_named_first(tiny_phantom: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ablation(str(tiny_phantom), **arguments)


def test_pretrained_weights_are_for_the_fusion_fcn_only(
    tiny_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def train(*configs: str, folder: Path, **settings: Any) -> None:
        seen.append((configs, settings.get("encoder_weights")))
        if len(seen) == 4:
            raise InterruptedError
        (folder / "cell.json").parent.mkdir(parents=True)
        (folder / "cell.json").write_text('{"crf_trials": 24, "machine": "m"}')

    monkeypatch.setattr("bundle.studies.ablation.train", train)
    with pytest.raises(InterruptedError):
        ablation(str(tiny_phantom), runs=str(tmp_path), output=str(tmp_path), width=1.0, encoder_weights="imagenet")
    assert seen == [(("train", "unet"), None)] * 2 + [(("train",), "imagenet")] * 2


def test_weights_of_other_tissue_add_a_line_each(
    tiny_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only their own trainings start from them; the other four are as they were."""
    seen = []

    def cell(network: str, folder: Path, n_trials: int, **settings: Any) -> dict[str, Any]:
        seen.append((folder.name, network, settings.get("init_checkpoint")))
        test = {"test": {"jaccard": 0.5, "mean_over_sections": 0.5}}
        return {"machine": "m", "without_crf": test, "with_crf": test}

    weights = {network: str(tmp_path / f"{network}.pt") for network in ("fusion_fcn", "unet")}
    for path in weights.values():
        Path(path).write_bytes(b"weights")
    monkeypatch.setattr("bundle.studies.ablation._cell", cell)
    monkeypatch.setattr("bundle.studies.ablation.draw_examples", lambda *_: None)
    arguments = {"runs": str(tmp_path), "output": str(tmp_path)}
    table = ablation(str(tiny_phantom), **arguments, init_checkpoints=weights)
    assert [start for _, _, start in seen] == [None] * 4 + [weights["unet"]] * 2 + [weights["fusion_fcn"]] * 2
    assert [line[:2] for line in seen[4::2]] == [
        ("unet_other_tissue_raw_0", "unet"),
        ("fusion_fcn_other_tissue_raw_0", "fusion_fcn"),
    ]
    for title in ("U-Net", "Fusion FCN"):
        assert f"| {title}, from weights of other tissue | 0.500 (0.500) |" in table
    assert table == (tmp_path / f"{tiny_phantom.name}.md").read_text()
    one = ablation(str(tiny_phantom), **arguments, init_checkpoints={"unet": weights["unet"]})
    assert one.count("from weights of other tissue") == 1
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ablation(str(tiny_phantom), **arguments, init_checkpoints={"unet": "nowhere.pt"})
