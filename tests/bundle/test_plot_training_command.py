from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from bundle.studies.plot_training import plot_training


def write_log(run: Path, steps: range) -> None:
    with SummaryWriter(str(run / "log")) as writer:
        for step in steps:
            writer.add_scalar("train_loss", 1 / step, step)
            writer.add_scalar("data_wait", 0.01, step)
        writer.add_scalar("val_jaccard", 0.5, steps[-1])


def test_picture_and_numbers_of_a_resumed_training(tmp_path: Path) -> None:
    write_log(tmp_path / "a", range(1, 5))
    write_log(tmp_path / "a", range(5, 9))
    plot_training(str(tmp_path / "a"), output=str(tmp_path / "curves"))
    numbers = json.loads((tmp_path / "curves.json").read_text())["a"]
    assert numbers["train_loss"] == [[step, round(1 / step, 4)] for step in range(1, 9)]
    assert numbers["val_jaccard"] == [[4, 0.5], [8, 0.5]]
    assert numbers["data_wait"][-1] == [8, 0.01]
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1000, 400)


def test_a_training_that_was_begun_anew(tmp_path: Path) -> None:
    write_log(tmp_path / "a", range(1, 9))
    write_log(tmp_path / "a", range(1, 4))
    plot_training(str(tmp_path / "a"), output=str(tmp_path / "curves"))
    numbers = json.loads((tmp_path / "curves.json").read_text())["a"]
    assert [step for step, _ in numbers["train_loss"]] == [1, 2, 3]
    assert [step for step, _ in numbers["val_jaccard"]] == [3]


def test_folder_without_a_log(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no log of a training"):
        plot_training(str(tmp_path), output=str(tmp_path / "curves"))
    with pytest.raises(ValueError, match="must differ: a, a"):
        plot_training("x/a", "y/a", output=str(tmp_path / "curves"))
    with pytest.raises(ValueError, match="at least one training"):
        plot_training(output=str(tmp_path / "curves"))
