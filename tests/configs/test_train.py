from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scripts.config import first_cause
from scripts.handlers import load_weights
from scripts.io import read_section, write_section
from scripts.networks import FusionFCN


@pytest.mark.slow
def test_training_leaves_weights_checkpoint_log_and_pictures(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path
) -> None:
    run_config("train", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path), epochs=2, device="cpu")
    assert set(torch.load(tmp_path / "checkpoint.pt")) >= {"network", "optimizer", "lr_scheduler", "epoch"}
    assert (tmp_path / "model.pt").is_file()
    assert (tmp_path / "log" / "panel_0.png").is_file()
    tags: dict[str, set] = {"scalars": set(), "images": set()}
    for file in (tmp_path / "log").glob("events.*"):
        events = EventAccumulator(str(file)).Reload()
        for kind, seen in tags.items():
            seen.update(events.Tags()[kind])
    assert tags["scalars"] >= {"train_loss", "val_jaccard", "data_wait"}
    assert tags["images"] == {"section_0", "section_1"}


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_resumed_training_equals_an_uninterrupted_one(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path, num_workers: int
) -> None:
    # a schedule that does not depend on the number of epochs, which differs here
    schedule = {"lr_scheduler#lr_lambda": "$lambda epoch: 0.5 ** epoch"}
    common = {"dataset_dir": str(tiny_phantom), "use_crf": False, "num_workers": num_workers, **schedule}
    run_config("train", ckpt_dir=str(tmp_path / "whole"), epochs=2, **common)
    run_config("train", ckpt_dir=str(tmp_path / "parts"), epochs=1, **common)
    run_config("train", ckpt_dir=str(tmp_path / "parts"), epochs=2, resume=True, **common)
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts"))
    assert parts.pop("record") == whole.pop("record")
    torch.testing.assert_close(parts, whole, rtol=0, atol=0)


def test_patches_are_drawn_in_proportion_to_weights(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    content = json.loads((tiny_phantom / "datalist.json").read_text())
    items = {
        part: [{**item, **{key: str(tiny_phantom / item[key]) for key in ("image", "label")}} for item in content[part]]
        for part in ("training", "validation")
    }
    items["training"][1]["weight"] = 3
    (tmp_path / "datalist.json").write_text(json.dumps(items))
    workflow = run_config("train", dataset_dir=str(tmp_path), ckpt_dir=str(tmp_path / "run"), use_crf=False)
    sampler = workflow.parser.get_parsed_content("train_sampler")
    assert len(sampler) == 2 * 2  # patches of sections: the weights do not change the length of an epoch
    sampler.num_samples = 4000
    torch.manual_seed(1)
    draws = list(sampler)
    assert np.mean(draws) == pytest.approx(0.75, abs=0.03)
    torch.manual_seed(1)  # as the handler that seeds an epoch does
    assert list(sampler) == draws


@pytest.mark.slow
def test_more_epochs_than_planned_are_trained_at_the_rate_of_the_new_plan(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path
) -> None:
    common = {"dataset_dir": str(tiny_phantom), "ckpt_dir": str(tmp_path), "use_crf": False, "learning_rate": 0.01}
    run_config("train", epochs=1, **common)
    assert torch.load(tmp_path / "checkpoint.pt")["optimizer"]["param_groups"][0]["lr"] == 0
    run_config("train", epochs=3, resume=True, **common)
    workflow = run_config("train", epochs=4, resume=True, **common)
    assert workflow.parser.get_parsed_content("lr_scheduler").get_last_lr() == [0]
    assert torch.load(tmp_path / "checkpoint.pt")["epoch"] == 4


@pytest.mark.slow
def test_training_starts_from_given_weights(
    run_config: Callable, tiny_phantom: Path, weights: Path, tmp_path: Path
) -> None:
    """With a learning rate of 0, what comes out is what went in."""
    settings = {"dataset_dir": str(tiny_phantom), "use_crf": False, "learning_rate": 0.0, "seed": 1}
    run_config("train", ckpt_dir=str(tmp_path / "given"), init_checkpoint=str(weights), **settings)
    run_config("train", ckpt_dir=str(tmp_path / "random"), **settings)
    name = "encoder.conv1.weight"
    given, random, start = (
        torch.load(path)[name] for path in (tmp_path / "given/model.pt", tmp_path / "random/model.pt", weights)
    )
    torch.testing.assert_close(given, start)
    assert not torch.allclose(random, start)


@pytest.mark.slow
def test_resuming_goes_on_from_the_checkpoint_not_from_the_given_weights(
    run_config: Callable, tiny_phantom: Path, weights: Path, tmp_path: Path
) -> None:
    settings = {"dataset_dir": str(tiny_phantom), "ckpt_dir": str(tmp_path), "use_crf": False}
    settings["init_checkpoint"] = str(weights)
    run_config("train", **settings)
    before = torch.load(tmp_path / "checkpoint.pt")["network"]["encoder.conv1.weight"]
    run_config("train", **settings, epochs=2, resume=True, learning_rate=0.0)
    after = torch.load(tmp_path / "checkpoint.pt")["network"]["encoder.conv1.weight"]
    assert not torch.allclose(before, torch.load(weights)["encoder.conv1.weight"])
    torch.testing.assert_close(after, before, rtol=0, atol=0)  # the new rate is used


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["learning_rate", "weight_decay"])
def test_a_setting_of_the_optimizer_that_changes_is_used_from_there_on(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    common = {"dataset_dir": str(tiny_phantom), "ckpt_dir": str(tmp_path), "use_crf": False}
    common["lr_scheduler#lr_lambda"] = "$lambda epoch: 0.5 ** epoch"
    run_config("train", **common)
    workflow = run_config("train", **common, epochs=2, resume=True, **{setting: 0.25})
    assert "from here on it is" in caplog.text
    (group,) = workflow.parser.get_parsed_content("optimizer").param_groups
    assert group["lr" if setting == "learning_rate" else setting] == 0.25 * (0.25 if setting == "learning_rate" else 1)


@pytest.mark.slow
def test_the_averaged_weights_are_validated_and_kept(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    common = {"dataset_dir": str(tiny_phantom), "use_crf": False, "patches_per_section": 4}
    name = "encoder.conv1.weight"
    for momentum in (0.25, 1.0):
        folder = tmp_path / str(momentum)
        workflow = run_config("train", ckpt_dir=str(folder), ema_momentum=momentum, **common)
        best, last = torch.load(folder / "model.pt"), torch.load(folder / "checkpoint.pt")
        trained = workflow.parser.get_parsed_content("network").state_dict()
        torch.testing.assert_close(last["network"][name], trained[name])
        torch.testing.assert_close(best[name], last["average" if momentum < 1 else "network"][name])
        assert torch.allclose(best[name], trained[name]) == (momentum == 1)
        validated = workflow.parser.get_parsed_content("validate#evaluator").network.state_dict()
        torch.testing.assert_close(best[name], validated[name])
    with pytest.raises(RuntimeError) as caught:
        run_config("train", ckpt_dir=str(folder), epochs=2, resume=True, **common)
    assert "was begun without a moving average" in str(first_cause(caught.value))


def test_validation_without_mitochondria_is_refused(
    run_config: Callable, labelled: Path, section: np.ndarray, tmp_path: Path
) -> None:
    write_section(labelled / "none.png", np.zeros_like(section))
    items = [{"image": "image.png", "label": name} for name in ("label.png", "none.png")]
    content = {"pixel_size_nm": 5, "training": items[:1], "validation": items[1:]}
    (labelled / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(RuntimeError) as caught:
        run_config("train", dataset_dir=str(labelled), ckpt_dir=str(tmp_path / "run"))
    assert "none.png: no mitochondrion is labelled in the sections for validation" in str(first_cause(caught.value))


def test_an_error_in_a_loading_process_tells_its_cause(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("image.png: what went wrong")

    monkeypatch.setattr("scripts.transforms.RandPatchd._steps", fail)
    with pytest.raises(RuntimeError) as caught:
        run_config("train", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path), num_workers=1)
    cause = first_cause(caught.value)
    assert isinstance(cause, ValueError)
    assert str(cause) == "image.png: what went wrong"


@pytest.mark.slow
def test_compiled_network_leaves_the_same_keys(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    # the keys are the matter here: the eager backend does without a compiler
    settings = {"compile": True, "train#trainer#compile_kwargs": {"backend": "eager"}, "use_crf": False}
    run_config("train", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path), **settings)
    load_weights(FusionFCN(width=0.125), tmp_path / "model.pt")


@pytest.mark.slow
def test_raw_sections_on_the_regular_grid(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    run_config("train", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path), patch_sampling="grid", equalize="none")
    assert (tmp_path / "model.pt").is_file()


@pytest.mark.slow
def test_sections_smaller_than_a_patch_are_padded(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    workflow = run_config("train", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path), patch_size=128)
    batch = next(iter(workflow.parser.get_parsed_content("train#dataloader")))
    assert batch["image"].shape == batch["label"].shape == (2, 1, 128, 128)
    assert 0 <= batch["label"].min() <= batch["label"].max() <= 1


@pytest.mark.slow
def test_whole_sections_are_equalised_before_they_are_cut(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path
) -> None:
    workflow = run_config("train", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path))
    dataset = workflow.parser.get_parsed_content("validate#dataset")
    image, path = dataset[0]["image"], dataset.data[0]["image"]
    ranks = read_section(path).ravel().argsort(kind="stable")
    assert (np.diff(image.numpy()[0].ravel()[ranks]) >= 0).all()  # the order of grey levels is kept
    np.testing.assert_allclose(np.histogram(image.numpy(), 8, (0, 1))[0] / image.numel(), 1 / 8, atol=0.02)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"lerning_rate": 0.1}, ValueError, "unknown setting 'lerning_rate' = 0.1; did you mean 'learning_rate'"),
        ({"threshold": 0.7}, ValueError, "setting 'threshold' = 0.7 is not used by this workflow"),
        ({"epochs": "many"}, TypeError, "setting 'epochs' must be of type int"),
        ({"dataset_dir": "nowhere"}, FileNotFoundError, r"nowhere.datalist.json: no such list"),
        ({"init_checkpoint": "nowhere.pt"}, FileNotFoundError, "nowhere.pt: no such file of weights"),
        ({"encoder_weights": "nowhere.pth"}, FileNotFoundError, "nowhere.pth"),
        ({"validate#dataset#data": []}, ValueError, "there are no sections for validation"),
        ({"epochs": 0}, ValueError, "epochs must be a number of at least 1, but got 0"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be a number of at least 0, but got -0.1"),
        ({"overlap": 1.0}, ValueError, "overlap must be a number of at least 0 and below 1, but got 1.0"),
        ({"network_pixel_size": 0.0}, ValueError, "network_pixel_size: a pixel size of 0.0 nm is out of range"),
        ({"ema_momentum": 0.0}, ValueError, "Invalid momentum: 0.0"),
        ({"equalize": "tisue"}, ValueError, "equalize must be one of tissue, section, none, but got 'tisue'"),
        ({"pixel_size": -5.0}, ValueError, "pixel_size: a pixel size of -5.0 nm is out of range"),
        ({"pixel_size": 8.0}, ValueError, "its list says that pixels are 5 nm, --pixel_size says 8 nm"),
        ({"patch_sampling": "all"}, ValueError, "sampling must be one of balanced, uniform, grid, but got 'all'"),
    ],
)
def test_mistakes_are_named_before_the_training(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path, overrides: dict, error: type[Exception], message: str
) -> None:
    settings = {"dataset_dir": str(tiny_phantom), "ckpt_dir": str(tmp_path / "run"), "width": 1.0, **overrides}
    with pytest.raises(RuntimeError) as caught:
        run_config("train", **settings)
    cause = first_cause(caught.value)
    assert isinstance(cause, error)
    assert message.replace(".datalist", "/datalist") in str(cause).replace("\\", "/")
    assert not (tmp_path / "run" / "model.pt").exists()


def test_damaged_section_is_named_before_the_training(run_config: Callable, labelled: Path, tmp_path: Path) -> None:
    pixels = read_section(labelled / "image.png").astype("float32")
    pixels[0, 0] = np.nan
    write_section(labelled / "image.tif", pixels)
    items = '[{"image": "image.tif", "label": "label.png"}]'
    (labelled / "datalist.json").write_text(f'{{"training": {items}, "validation": {items}}}')
    with pytest.raises(RuntimeError) as caught:
        run_config("train", dataset_dir=str(labelled), ckpt_dir=str(tmp_path / "run"))
    assert "image.tif: 1 pixels are NaN or infinite" in str(first_cause(caught.value))
