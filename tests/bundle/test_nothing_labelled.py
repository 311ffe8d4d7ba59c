"""Studies of sections that show no mitochondria."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from bundle.studies import active_learning, evaluate, finetune, leave_one_out
from bundle.studies.examples import draw_examples
from scripts.io import write_section

NOTHING = {"jaccard": None, "mean_over_sections": None}


@pytest.fixture
def phantom(tiny_phantom: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_phantom, tmp_path / "phantom"))


def empty(folder: Path, *names: str) -> None:
    for name in names:
        write_section(folder / "labels" / f"{name}.png", np.zeros((96, 96), np.uint8))


def test_scores_of_nothing_are_dashes() -> None:
    nothing = {"without_crf": {**NOTHING, "object_f1": None}, "with_crf": {**NOTHING, "object_f1": None}}
    some = {key: {"jaccard": 0.5, "mean_over_sections": 0.25, "object_f1": 0.75} for key in nothing}
    table = evaluate.markdown({"empty": nothing, "full": some})
    assert "| empty | - (-) | - (-) | - |" in table
    assert "| full | 0.500 (0.250) | 0.500 (0.250) | 0.750 |" in table
    fold = {"empty": {"test": NOTHING, "development": NOTHING, "scales": {"0.8": None}}}
    fold["full"] = {"test": some["with_crf"], "development": NOTHING, "scales": {"0.8": 0.125}}
    figures = {"results": {"unet": fold}, "steps": 5, "patches_per_step": 4, "seed": 0, "machine": "one"}
    table = leave_one_out.markdown(figures)
    assert "| unet, test | - | 0.500 | 0.500 |" in table
    assert "| unet, development | - | - | - |" in table


def test_there_is_no_picture_of_nothing(tiny_phantom: Path, tmp_path: Path) -> None:
    (tmp_path / "jaccard.csv").write_text("number,section,without_crf_jaccard\n0,a,nan\n1,b,nan\n")
    draw_examples(tiny_phantom / "datalist.json", [tmp_path], tmp_path / "picture.jpg")
    assert not (tmp_path / "picture.jpg").exists()


def test_an_output_that_cannot_be_written_is_found_before_the_scores(
    tiny_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "evaluate_sets", scored := Mock())
    (tmp_path / "model.pt").write_bytes(b"weights")
    with pytest.raises(OSError, match=r"model.pt: the output folder cannot be written"):
        evaluate.evaluate(
            str(tiny_phantom), checkpoint=str(tmp_path / "model.pt"), output=str(tmp_path / "model.pt/scores.json")
        )
    assert not scored.called


@pytest.mark.parametrize("study", [finetune.finetune, active_learning.active_learning])
def test_sections_without_mitochondria_are_refused_by_name_before_any_training(
    phantom: Path, tmp_path: Path, study: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Mock(side_effect=RuntimeError)
    monkeypatch.setattr(finetune, "train", trained)
    arguments = {"runs": str(tmp_path / "r"), "labelled": (2, 3), "steps": 5}
    names = [item["image"] for part in ("training", "validation") for item in _items(phantom, part)]
    empty(phantom, *(Path(name).stem for name in names))
    with pytest.raises(ValueError, match=r"labels.\w+_00\d.png, .*: some mitochondrion must be labelled"):
        study(str(phantom), "none.pt", str(tmp_path / "o"), **arguments)
    empty(phantom, "test_000", "test_001")
    with pytest.raises(ValueError, match=r"test_000.png, .*test_001.png: some mitochondrion must be labelled"):
        study(str(phantom), "none.pt", str(tmp_path / "o"), **arguments)
    assert not trained.called


def test_a_draw_is_refused_when_it_is_made(phantom: Path, tmp_path: Path) -> None:
    empty(phantom, "training_001")
    section = finetune.load_sections(phantom / "datalist.json", "training")[1]
    with pytest.raises(ValueError, match=r"training_001.png: some mitochondrion must be labelled"):
        finetune.train_and_score(tmp_path / "r", [section], [], 5, 0, None, 1e-3)
    assert not (tmp_path / "r").exists()


def _items(folder: Path, part: str) -> list[dict]:
    return json.loads((folder / "datalist.json").read_text())[part]
