"""Weights that are fitted to a tissue without its labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.io import imread, imsave

from bundle.runs import ROOT, settings_of_weights
from bundle.studies.adapt import adapt, pseudo_label
from scripts.handlers.loading import read_weights
from scripts.weights import read_record, save_weights, sha256_of

UNET = ROOT / "models" / "unet" / "model.pt"


def test_label_says_what_the_network_finds_in_tissue() -> None:
    probability = np.array([[0.0, 0.29, 0.31], [0.49, 0.5, 1.0]], np.float32)
    tissue = np.array([[True, True, True], [True, True, False]])
    assert pseudo_label(probability, tissue, 0.5).tolist() == [[0, 0, 0], [0, 255, 128]]
    assert pseudo_label(probability, tissue, 0.3).tolist() == [[0, 0, 255], [255, 255, 128]]


def test_label_leaves_out_what_is_too_small_for_a_mitochondrion() -> None:
    probability = np.zeros((9, 9), np.float32)
    probability[:2, :3] = probability[5:, 5:] = 1
    tissue = np.ones((9, 9), bool)
    for min_area, expected in ((0, 22), (6, 22), (6.1, 16), (16, 16), (17, 0)):
        assert (pseudo_label(probability, tissue, 0.5, min_area) == 255).sum() == expected


@pytest.fixture(scope="module")
def stack(tiny_phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sections alone, which state their pixel size by nothing."""
    folder = tmp_path_factory.mktemp("mine") / "stack"
    folder.mkdir()
    for file in sorted((tiny_phantom / "images").iterdir()):
        shutil.copy(file, folder)
    return folder


@pytest.mark.slow
def test_weights_come_with_a_record_and_a_picture(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    before = sha256_of(UNET)
    arguments: dict[str, Any] = {
        **{"output": str(tmp_path / "mine"), "checkpoint": str(UNET), "pixel_size": 5, "regions": 2},
        **{"steps": 5, "patch_size": 64, "num_workers": 0},
    }
    text = adapt(str(stack), **arguments)
    weights = tmp_path / "mine" / "model.pt"
    assert sha256_of(UNET) == before
    assert f"--checkpoint {weights}" in text
    assert "--pixel_size 5" in text
    with Image.open(tmp_path / "mine" / "before_after.jpg") as picture:
        assert picture.size == (2 * 512, 2 * 512)
    record = read_record(weights)
    assert record["sha256"] == sha256_of(weights) != before
    assert {"stack"} < record["training_data"].keys()
    assert "validation_jaccard" not in record  # of its own labels
    settings, start = settings_of_weights(weights), settings_of_weights(UNET)
    assert settings == {**start, "threshold": 0.5, "threshold_without_crf": 0.5}
    data = tmp_path / "mine" / "data"
    content = json.loads((data / "datalist.json").read_text())
    assert [item["pixel_size_nm"] for item in content["training"]] == [[5.0, 5.0]] * 2
    values = {value for item in content["training"] for value in np.unique(imread(data / item["label"]))}
    assert 255 in values
    assert values <= {0, 128, 255}
    files = [weights, data / "datalist.json", *(tmp_path / "mine" / "run").iterdir()]
    changed = {file: file.stat().st_mtime_ns for file in files}
    assert adapt(str(stack), **arguments) == text  # nothing is trained again
    assert {file: file.stat().st_mtime_ns for file in changed} == changed
    with pytest.raises(FileExistsError, match="mine was made with other arguments; choose another --output"):
        adapt(str(stack), **{**arguments, "steps": 10})
    assert {file: file.stat().st_mtime_ns for file in changed} == changed


@pytest.mark.slow
def test_a_teacher_labels_what_other_weights_are_trained_on(stack: Path, tmp_path: Path) -> None:
    teacher, known = tmp_path / "teacher.pt", settings_of_weights(UNET)
    all_of_it = read_weights(UNET)  # which finds mitochondria everywhere
    all_of_it["unet.final_conv.1.bias"] = torch.tensor([-9.0, 9.0])
    all_of_it["unet.final_conv.1.weight"] *= 0
    save_weights(all_of_it, teacher, {"settings": {**known, "equalize": "section"}, "training_data": {"mine": "none"}})
    arguments: dict[str, Any] = {
        **{"checkpoint": str(UNET), "teacher": str(teacher), "pixel_size": 5, "regions": 1},
        **{"steps": 5, "patch_size": 64, "num_workers": 0},
    }
    adapt(str(stack), output=str(tmp_path / "mine"), **arguments)
    (label,) = (tmp_path / "mine" / "data" / "labels").iterdir()
    assert (imread(label) != 0).all()
    record = read_record(tmp_path / "mine" / "model.pt")
    assert record["settings"]["equalize"] == "section"  # as the teacher saw the regions
    assert record["teacher_sha256"] == sha256_of(teacher)
    assert {"mine", "stack", *read_record(UNET)["training_data"]} == record["training_data"].keys()
    with pytest.raises(FileExistsError, match="mine was made with other arguments; choose another --output"):
        adapt(str(stack), output=str(tmp_path / "mine"), **{**arguments, "teacher": None})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"regions": 0}, "regions must be a whole number from 1 on, but got 0"),
        ({"seed": -1}, "seed must be a whole number from 0 on, but got -1"),
        ({"steps": 7}, "steps must be a multiple of the 5 epochs, but got 7"),
        ({"min_area": -1}, "min_area must be a number of square micrometres from 0 on, but got -1"),
        ({"min_area": "small"}, "min_area must be a number of square micrometres from 0 on, but got 'small'"),
        ({"use_crf": True}, "--use_crf cannot be given here"),
        ({"checkpoint": "nowhere.pt"}, r"nowhere\.pt"),
        ({"teacher": "nobody.pt"}, r"nobody\.pt"),
    ],
)
def test_mistakes(stack: Path, tmp_path: Path, change: dict, message: str) -> None:
    arguments = {"output": str(tmp_path / "mine"), "checkpoint": str(UNET), **change}
    with pytest.raises((ValueError, OSError), match=message):
        adapt(str(stack), **arguments)
    assert not (tmp_path / "mine").exists()


def test_folder_with_something_else_stays(stack: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something else; choose another --output"):
        adapt(str(stack), output=str(tmp_path), checkpoint=str(UNET))
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_sections_without_mitochondria_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cytoplasm"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(128, 10, (128, 128)).clip(0, 255).astype(np.uint8)
    imsave(folder / "0.png", noise)
    blind = read_weights(UNET)  # which finds none whatever it is shown
    blind["unet.final_conv.1.bias"] = torch.tensor([9.0, -9.0])
    blind["unet.final_conv.1.weight"] *= 0
    save_weights(blind, tmp_path / "blind.pt", {"settings": settings_of_weights(UNET)})
    with pytest.raises(ValueError, match=r"cytoplasm: no mitochondria are found in 1 regions"):
        adapt(str(folder), output=str(tmp_path / "out"), checkpoint=str(tmp_path / "blind.pt"), pixel_size=10)
