"""What the trainings of a fine-tuning have in common."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bundle.studies import active_learning, finetune
from scripts.networks import UNet
from scripts.weights import default_settings, read_record, save_weights

MACHINE = {"patch_size": 64, "num_workers": 0, "device": "$torch.device('cpu')"}


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """Those of another network than the default, that sees sections in another way."""
    torch.manual_seed(0)
    own = {"network_class": "scripts.networks.UNet", "width": 0.0625, "network_pixel_size": 7.0, "equalize": "section"}
    settings = {**default_settings(), **own, "threshold": 0.7}
    path = tmp_path / "given.pt"
    save_weights(UNet(width=0.0625, dropout=0.1).state_dict(), path, {"settings": settings})
    return str(path)


@pytest.mark.slow
def test_random_weights_are_those_of_the_network_that_is_given(
    tiny_phantom: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"with_crf": {"jaccard": 0.5}}
    monkeypatch.setattr(finetune, "evaluate_sets", lambda folder, **_: {Path(folder).name: scores})
    arguments = {"runs": str(tmp_path), "labelled": (1,), "steps": 5, "use_crf": False, **MACHINE}
    finetune.finetune(str(tiny_phantom), weights, str(tmp_path / "o"), **arguments)
    finetuned, scratch = (read_record(tmp_path / "phantom" / f"{n}_1" / "model.pt") for n in ("finetuned", "scratch"))
    assert scratch["settings"] == finetuned["settings"] == read_record(weights)["settings"]
    assert scratch["training_data"] == {"phantom": "CC0-1.0"}


@pytest.mark.parametrize("study", ["finetune", "active_learning"])
def test_the_licence_of_the_set_is_handed_on(
    tiny_phantom: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: str
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(finetune, "train", stop)
    command = {"finetune": finetune.finetune, "active_learning": active_learning.active_learning}[study]
    with pytest.raises(InterruptedError):
        command(str(tiny_phantom), weights, str(tmp_path / "o"), runs=str(tmp_path / "r"), labelled=(1,), steps=5)
    (datalist,) = (tmp_path / "r").rglob("datalist.json")
    assert json.loads(datalist.read_text())["licence"] == "CC0-1.0"
