"""The commands that score, fine-tune and ship weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from PIL import Image

from bundle.data.combine import PARTS
from bundle.data.fetch import write_list
from bundle.release import publish as module
from bundle.release.average import average, interpolate
from bundle.release.publish import halve, mean_logit, publish
from bundle.runs import load_network, train
from bundle.studies.evaluate import evaluate, evaluate_sets
from bundle.studies.finetune import finetune
from scripts.handlers import TrainingCheckpoint
from scripts.io import load_sections, read_section, write_section
from scripts.weights import copy_weights, read_record, sha256_of

# two patches, one step
BRIEF = {"val_interval": 1, "patches_per_section": 1}


@pytest.fixture(scope="module")
def trained(tiny_phantom: Path, tmp_path_factory: pytest.TempPathFactory, tiny: dict) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(
        "train", folder=folder, epochs=1, val_interval=1, patches_per_section=1, dataset_dir=str(tiny_phantom), **tiny
    )
    return folder


@pytest.mark.slow
def test_a_complete_training_is_left_alone(trained: Path, tiny_phantom: Path, tiny: dict) -> None:
    before = (trained / "checkpoint.pt").stat().st_mtime_ns
    record = train("train", folder=trained, epochs=1, **BRIEF, dataset_dir=str(tiny_phantom), **tiny)
    assert (trained / "checkpoint.pt").stat().st_mtime_ns == before
    assert record["seconds"] > 0


@pytest.mark.slow
def test_an_interrupted_training_goes_on_with_its_own_settings_only(
    tiny_phantom: Path, tmp_path: Path, tiny: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**BRIEF, "dataset_dir": str(tiny_phantom), **tiny}
    save = TrainingCheckpoint.save

    def interrupt(self: TrainingCheckpoint, engine: Engine) -> None:
        save(self, engine)
        if engine.state.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(TrainingCheckpoint, "save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train("train", folder=tmp_path, epochs=2, **settings)
    with pytest.raises(ValueError, match=r"settings\.json: this training has seed = None, not 1"):
        train("train", folder=tmp_path, epochs=2, seed=1, **settings)
    record = train("train", folder=tmp_path, epochs=2, **settings)
    assert record["seconds"] is None  # what the interrupted part took is not known
    assert torch.load(tmp_path / "checkpoint.pt")["epoch"] == 2


@pytest.mark.slow
def test_a_training_of_other_weights_or_labels_is_not_taken(
    trained: Path, tiny_phantom: Path, tmp_path: Path, tiny: dict, caplog: pytest.LogCaptureFixture
) -> None:
    data, weights = tmp_path / "data", tmp_path / "weights.pt"
    shutil.copytree(tiny_phantom, data)
    copy_weights(trained / "model.pt", weights)
    settings = {**BRIEF, "dataset_dir": str(data), "init_checkpoint": str(weights), **tiny}
    run = tmp_path / "run"
    begun = train("train", folder=run, epochs=1, **settings)
    assert train("train", folder=run, epochs=1, **settings) == begun
    label = data / "labels" / "training_000.png"
    content = label.read_bytes()
    write_section(label, 255 - read_section(label))
    with pytest.raises(ValueError, match=r"settings\.json: this training has sections_sha256 = "):
        train("train", folder=run, epochs=1, **settings)
    label.write_bytes(content)  # at another time
    weights.with_suffix(".json").unlink()
    torch.save({key: 2 * value for key, value in torch.load(weights).items()}, weights)
    with pytest.raises(ValueError, match=r"settings\.json: this training has init_checkpoint_sha256 = "):
        train("train", folder=run, epochs=1, **settings)
    # of version 0.10.1
    for key in ("sections_sha256", "init_checkpoint_sha256"):
        del begun["settings"][key]
    (run / "settings.json").write_text(json.dumps(begun))
    assert train("train", folder=run, epochs=1, **settings) == begun
    assert "holds no sections_sha256 to compare" in caplog.text


@pytest.mark.slow
def test_the_checkpoint_alone_is_enough(trained: Path, tiny_phantom: Path, tmp_path: Path, tiny: dict) -> None:
    """The record says what the settings said; they are those of the smallest network, not the defaults."""
    machine = {key: value for key, value in tiny.items() if key in ("num_workers", "device", "patch_size")}
    figures = [
        evaluate_sets(str(tiny_phantom), checkpoint=str(trained / "model.pt"), network="fusion_fcn", **settings)
        for settings in (tiny, machine)
    ]
    assert figures[0] == figures[1]


@pytest.mark.slow
def test_evaluate_scores_each_set(trained: Path, tiny_phantom: Path, tmp_path: Path, tiny: dict) -> None:
    table = evaluate(
        str(tiny_phantom),
        checkpoint=str(trained / "model.pt"),
        output=str(tmp_path / "figures.json"),
        pictures=str(tmp_path),
        **tiny,
    )
    assert (tmp_path / "phantom.jpg").is_file()
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["sha256"] == sha256_of(trained / "model.pt")
    assert f"{figures['sets']['phantom']['with_crf']['jaccard']:.3f}" in table
    shown = {
        "part": "validation",
        "pictures": str(tmp_path / "validation"),
        "output": str(tmp_path / "validation.json"),
    }
    evaluate(str(tiny_phantom), checkpoint=str(trained / "model.pt"), **shown, **tiny)
    assert (tmp_path / "validation" / "phantom.jpg").is_file()
    assert json.loads((tmp_path / "validation.json").read_text())["sets"] != figures["sets"]
    # the paper's Figure 3: five columns of 96 pixels in place of three, with titles
    beside = {"beside": str(trained / "model.pt"), "pictures": str(tmp_path / "figure3")}
    evaluate(str(tiny_phantom), checkpoint=str(trained / "model.pt"), **beside, **tiny)
    titled, plain = (np.asarray(Image.open(tmp_path / folder / "phantom.jpg")) for folder in ("figure3", ""))
    assert (titled.shape[1], plain.shape[1]) == (5 * 96 + 4 * 8, 3 * 96 + 2 * 8)
    assert len(titled) > len(plain)
    with pytest.raises(ValueError, match="beside needs a folder for pictures"):
        evaluate(str(tiny_phantom), checkpoint=str(trained / "model.pt"), beside=str(trained / "model.pt"))
    with pytest.raises(ValueError, match="at least one set"):
        evaluate(checkpoint=str(trained / "model.pt"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        evaluate(str(tiny_phantom), "nowhere", checkpoint=str(trained / "model.pt"))
    with pytest.raises(ValueError, match="which must differ"):
        evaluate(str(tiny_phantom), str(tiny_phantom), checkpoint=str(trained / "model.pt"))


@pytest.mark.slow
def test_finetune_from_given_and_from_random_weights(
    trained: Path, tiny_phantom: Path, tmp_path: Path, tiny: dict
) -> None:
    settings = {**tiny, "weights": str(trained / "model.pt"), "output": str(tmp_path / "curve"), "runs": str(tmp_path)}
    del settings["batch_size"]
    table = finetune(str(tiny_phantom), labelled=(0, 1, 4), steps=5, **settings)
    figures = json.loads((tmp_path / "curve.json").read_text())
    assert set(figures["finetuned"]) == {"0", "1", "4"}
    assert set(figures["scratch"]) == {"1", "4"}
    assert (tmp_path / "curve.png").is_file()
    assert table.splitlines()[3].split(" | ")[1] == "-"
    lists = {count: json.loads((tmp_path / f"phantom/scratch_{count}/datalist.json").read_text()) for count in (1, 4)}
    assert [len(lists[count]["training"]) for count in (1, 4)] == [1, 4]
    test = {item["image"] for item in lists[4]["test"]}
    assert not test & {item["image"] for item in lists[4]["training"]}
    with pytest.raises(ValueError, match="from 0 to 4, but got"):
        finetune(str(tiny_phantom), labelled=5, **settings)
    with pytest.raises(ValueError, match="multiple of the 5 epochs, but got 7"):
        finetune(str(tiny_phantom), labelled=1, steps=7, **settings)
    with pytest.raises(ValueError, match=r"settings\.json: this training has seed = 0, not 1"):
        finetune(str(tiny_phantom), labelled=(1,), steps=5, seed=1, **settings)


@pytest.mark.slow
def test_ship_halves_the_weights_and_records_their_origin(
    trained: Path, tiny_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict
) -> None:
    monkeypatch.setattr(module, "TARGET", tmp_path)
    publish(str(tiny_phantom), run=str(trained), commit="0123abc", note="a test", **tiny)
    record = json.loads((tmp_path / "models" / "model.json").read_text())
    assert record["sha256"] == sha256_of(tmp_path / "models" / "model.pt")
    assert record["steps"] == 1
    assert record["training_data"] == {"phantom": "CC0-1.0"}
    assert (record["seed"], record["best_epoch"], record["commit"]) == (0, 1, "0123abc")
    assert record["settings"] == read_record(trained / "model.pt")["settings"]
    network = load_network(tmp_path / "models" / "model.pt")  # the record says the rest
    assert record["check"]["mean_logit"] == mean_logit(network)
    weights, original = torch.load(tmp_path / "models" / "model.pt"), torch.load(trained / "model.pt")
    assert {value.dtype for value in weights.values()} == {torch.float16, torch.int64}
    for key, value in weights.items():
        torch.testing.assert_close(value.to(original[key].dtype), original[key], rtol=1e-3, atol=1e-7)


@pytest.fixture(scope="module")
def fine_tuned(trained: Path, tiny_phantom: Path, tmp_path_factory: pytest.TempPathFactory, tiny: dict) -> Path:
    folder = tmp_path_factory.mktemp("fine_tuned")
    start = {"init_checkpoint": str(trained / "model.pt"), "learning_rate": 0.01, "dataset_dir": str(tiny_phantom)}
    train("train", folder=folder, epochs=1, **BRIEF, **start, **tiny)
    return folder


@pytest.mark.slow
def test_average_takes_the_share_that_is_best_on_the_validation_parts(
    trained: Path, fine_tuned: Path, tiny_phantom: Path, tmp_path: Path, tiny: dict
) -> None:
    ends = {"before": str(trained / "model.pt"), "after": str(fine_tuned / "model.pt")}
    table = average(str(tiny_phantom), **ends, output=str(tmp_path / "mean"), shares=[0, 0.5, 1], **tiny)
    figures = json.loads((tmp_path / "mean_shares.json").read_text())
    assert [row["share"] for row in figures["tried"]] == [0, 0.5, 1]
    assert len({row["mean"] for row in figures["tried"]}) > 1
    best = max(figures["tried"], key=lambda row: row["mean"])
    assert f"| {best['share']:g} (chosen) | {best['jaccard']['phantom']:.3f} |" in table
    assert (tmp_path / "mean_shares.png").is_file()
    record = read_record(tmp_path / "mean.pt")
    assert record["average"]["share"] == figures["share"] == best["share"]
    assert record["average"]["after"]["sha256"] == sha256_of(fine_tuned / "model.pt")
    assert record["settings"]["threshold_without_crf"] == best["threshold"]
    assert record["training_data"] == {"phantom": "CC0-1.0"}
    load_network(tmp_path / "mean.pt")


def test_average_of_one_share_is_what_the_share_says(
    trained: Path, fine_tuned: Path, tiny_phantom: Path, tmp_path: Path, tiny: dict
) -> None:
    files = [folder / "model.pt" for folder in (trained, fine_tuned)]
    average(
        str(tiny_phantom), before=str(files[0]), after=str(files[1]), output=str(tmp_path / "mean"), shares=0.25, **tiny
    )
    before, after, found = (torch.load(path) for path in (*files, tmp_path / "mean.pt"))
    assert any((before[key] != after[key]).any() for key in before)
    for key, value in found.items():
        wanted = 0.75 * before[key] + 0.25 * after[key] if value.is_floating_point() else after[key]
        torch.testing.assert_close(value, wanted)


def test_average_refuses_other_networks_and_shares(trained: Path, tiny_phantom: Path, tmp_path: Path) -> None:
    weights = str(trained / "model.pt")
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], but got \[1.5\]"):
        average(str(tiny_phantom), before=weights, after=weights, output=str(tmp_path / "mean"), shares=[1.5])
    with pytest.raises(ValueError, match="at least one set"):
        average(before=weights, after=weights, output=str(tmp_path / "mean"))
    datalist = json.loads((tiny_phantom / "datalist.json").read_text()) | {"refit": True}
    for part in PARTS:
        datalist[part] = load_sections(tiny_phantom / "datalist.json", part)
    write_list(datalist, tmp_path / "refit")
    with pytest.raises(ValueError, match="refit: its training part holds its validation part"):
        average(str(tmp_path / "refit"), before=weights, after=weights, output=str(tmp_path / "mean"))
    with pytest.raises(ValueError, match=r"but b has shape none and \(2,\)"):
        interpolate({"a": torch.ones(2)}, {"a": torch.ones(2), "b": torch.ones(2)}, 0.5)
    with pytest.raises(ValueError, match=r"but a has shape \(2,\) and \(3,\)"):
        interpolate({"a": torch.ones(2)}, {"a": torch.ones(3)}, 0.5)


@pytest.mark.slow
def test_ship_takes_an_average_and_names_the_sets_without_a_test_part(
    trained: Path, fine_tuned: Path, tiny_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict
) -> None:
    monkeypatch.setattr(module, "TARGET", tmp_path)
    files = {"before": str(trained / "model.pt"), "after": str(fine_tuned / "model.pt")}
    average(str(tiny_phantom), **files, output=str(tmp_path / "mean"), shares=[0.5], **tiny)
    other = tmp_path / "other"
    write_list({"licence": "MIT", "training": load_sections(tiny_phantom / "datalist.json", "training")}, other)
    unseen = tmp_path / "unseen"
    write_list({"licence": "MIT", "test": load_sections(tiny_phantom / "datalist.json", "validation")}, unseen)
    publish(
        str(tiny_phantom),
        run=str(fine_tuned),
        weights=str(tmp_path / "mean.pt"),
        also_trained_on=[str(other)],
        tested_on=[str(unseen)],
        folder="models/other",
        commit="0123abc",
        **tiny,
    )
    assert not (tmp_path / "models" / "model.pt").exists()
    record = read_record(tmp_path / "models" / "other" / "model.pt")
    assert record["average"]["share"] == 0.5
    assert record["training_data"] == {"phantom": "CC0-1.0", "other": "MIT"}
    assert list(record["test"]) == ["phantom", "unseen"]
    mean, shipped = torch.load(tmp_path / "mean.pt"), torch.load(tmp_path / "models" / "other" / "model.pt")
    torch.testing.assert_close(shipped["classifier.bias"].float(), mean["classifier.bias"], rtol=1e-3, atol=1e-7)


def test_ship_keeps_what_the_record_says_of_the_training(
    trained: Path, tiny_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict
) -> None:
    monkeypatch.setattr(module, "TARGET", tmp_path)
    monkeypatch.setattr(module, "evaluate_sets", lambda *data, **_: {})
    shutil.copytree(trained, tmp_path / "run")
    before = {**read_record(trained / "model.pt"), "seed": 7, "training_data": {"vnc": "CC BY-NC-SA"}}
    (tmp_path / "run" / "model.json").write_text(json.dumps(before))
    publish(str(tiny_phantom), run=str(tmp_path / "run"), commit="0123abc", **tiny)
    record = read_record(tmp_path / "models" / "model.pt")
    assert record["training_data"] == {"vnc": "CC BY-NC-SA", "phantom": "CC0-1.0"}
    assert record["seed"] == 7


def test_checkpoints_are_neither_shipped_nor_averaged(trained: Path, tiny_phantom: Path, tmp_path: Path) -> None:
    checkpoint = str(trained / "checkpoint.pt")
    message = r"checkpoint\.pt: must hold the weights of a network alone, .* but got the checkpoint of a training"
    with pytest.raises(ValueError, match=message):
        publish(str(tiny_phantom), run=str(trained), weights=checkpoint, commit="0123abc")
    with pytest.raises(ValueError, match=message):
        average(str(tiny_phantom), before=checkpoint, after=checkpoint, output=str(tmp_path / "mean"))


def test_weights_too_large_for_half_precision() -> None:
    with pytest.raises(ValueError, match="bias holds values that half precision cannot"):
        halve({"bias": torch.tensor([1e6])})


def test_variances_beyond_half_precision_stay_as_they_are() -> None:
    weights = {
        "norm.weight": torch.ones(1),
        "norm.running_mean": torch.ones(1),
        "norm.running_var": torch.full((1,), 1e6),
    }
    half = halve(weights)
    assert half["norm.running_var"].item() == 1e6
    assert [value.dtype for value in half.values()] == [torch.float16, torch.float16, torch.float32]


@pytest.mark.slow
def test_ship_refuses_weights_that_rounding_changes(
    trained: Path, tiny_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict
) -> None:
    monkeypatch.setattr(module, "TARGET", tmp_path)
    with pytest.raises(ValueError, match=r"folder must lie in .*models, but got '\.\./models'"):
        publish(str(tiny_phantom), run=str(trained), commit="0123abc", folder="../models", **tiny)
    monkeypatch.setattr(module, "halve", lambda weights: {**weights, "classifier.bias": torch.tensor([9.0, -9.0])})
    with pytest.raises(ValueError, match="half precision changes the Jaccard of phantom"):
        publish(str(tiny_phantom), run=str(trained), commit="0123abc", **tiny)
    assert not (tmp_path / "models").exists()
