"""Going on with a training."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scripts.config import first_cause
from scripts.io import lock
from scripts.networks import FusionFCN
from scripts.weights import default_settings, read_record, save_weights

BEGUN = {"width": 0.125, "network_pixel_size": 8.0, "equalize": "section", "threshold": 0.9}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained narrow network, with a record of data that are not free."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("recorded") / "model.pt"
    record = {"settings": {**default_settings(), **BEGUN}, "training_data": {"vnc": "CC BY-NC-SA"}}
    save_weights(FusionFCN(width=0.125).state_dict(), path, record)
    return path


@pytest.fixture
def train(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> Callable[..., Path]:
    """Train in the same folder, for the first time or once more, with the settings that the weights say."""

    def run(**settings: object) -> Path:
        names_nothing = {"width": "$@record['width']", "network_pixel_size": "$@record['network_pixel_size']"}
        common = {"dataset_dir": str(tiny_phantom), "ckpt_dir": str(tmp_path / "run"), "use_crf": False}
        run_config("train", **{**common, **names_nothing, **settings})
        return tmp_path / "run"

    return run


def let_the_next_epoch_be_the_best(folder: Path, **changes: object) -> None:
    state = torch.load(folder / "checkpoint.pt")
    torch.save({**state, "best_metric": -1.0, **changes}, folder / "checkpoint.pt")


@pytest.mark.slow
@pytest.mark.parametrize("repeated", [True, False])
def test_the_record_of_a_resumed_training_is_that_of_its_beginning(
    train: Callable, recorded: Path, repeated: bool
) -> None:
    folder = train(init_checkpoint=str(recorded))
    before = read_record(folder / "model.pt")
    assert before["settings"] == {**default_settings(), **BEGUN}
    assert before["training_data"] == {"vnc": "CC BY-NC-SA", "phantom": "CC0-1.0"}
    let_the_next_epoch_be_the_best(folder)
    train(resume=True, epochs=2, **({"init_checkpoint": str(recorded)} if repeated else {}))
    after = read_record(folder / "model.pt")
    assert after["best_epoch"] == 2
    told = ("settings", "training_data", "seed", "patch_size", "datalist_sha256", "init_checkpoint_sha256")
    assert [after[key] for key in told] == [before[key] for key in told]
    assert read_record(folder / "checkpoint.pt")["settings"] == before["settings"]


@pytest.mark.slow
def test_a_training_goes_on_with_its_own_settings_only(
    train: Callable, recorded: Path, tiny_phantom: Path, tmp_path: Path
) -> None:
    folder = train(width=0.125, network_pixel_size=8.0)
    shutil.copytree(tiny_phantom, tmp_path / "other")
    content = json.loads((tiny_phantom / "datalist.json").read_text())
    (tmp_path / "other" / "datalist.json").write_text(json.dumps({**content, "licence": "MIT"}))
    before = {path.name: path.read_bytes() for path in folder.glob("*.*") if path.is_file()}
    for key, was, other in (
        ("network_pixel_size", "8.0", 12.0),
        ("width", "0.125", 0.25),
        ("equalize", "'tissue'", "none"),
        ("seed", "0", 5),
        ("patch_size", "64", 96),
        ("dataset_dir", "datalist_sha256", str(tmp_path / "other")),
        ("init_checkpoint", "init_checkpoint_sha256 must be None", str(recorded)),
    ):
        with pytest.raises(RuntimeError) as caught:
            train(resume=True, epochs=2, **{key: other})
        message = str(first_cause(caught.value))
        assert str(folder / "checkpoint.pt") in message
        assert (was if "sha256" in was else f"{key} must be {was}, with which this training was begun") in message
    assert {path.name: path.read_bytes() for path in folder.glob("*.*") if path.is_file()} == before


def test_a_second_training_in_a_folder_is_refused_before_anything_is_read(train: Callable, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    other = lock(tmp_path / "run" / ".lock", "")  # what another process has
    with pytest.raises(RuntimeError) as caught:
        train(dataset_dir="nowhere")
    os.close(other)
    assert f"{tmp_path / 'run'}: another training runs here" in str(first_cause(caught.value))


def test_a_training_that_diverges_overwrites_nothing(train: Callable) -> None:
    folder = train(width=0.125, network_pixel_size=8.0)
    before = [(folder / name).read_bytes() for name in ("model.pt", "model.json", "checkpoint.pt")]
    with pytest.raises(RuntimeError) as caught:
        train(resume=True, epochs=3, learning_rate=3e38, patches_per_section=4, width=0.125, network_pixel_size=8.0)
    assert isinstance(first_cause(caught.value), FloatingPointError)
    assert [(folder / name).read_bytes() for name in ("model.pt", "model.json", "checkpoint.pt")] == before


@pytest.mark.slow
def test_a_checkpoint_without_a_record_goes_on_with_a_warning(
    train: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    folder = train(width=0.125, network_pixel_size=8.0)
    state = torch.load(folder / "checkpoint.pt")
    torch.save({key: value for key, value in state.items() if key != "record"}, folder / "checkpoint.pt")
    train(resume=True, epochs=2, width=0.125, network_pixel_size=8.0)
    assert "checkpoint.pt: holds no record of its training" in caplog.text
    assert torch.load(folder / "checkpoint.pt")["epoch"] == 2
