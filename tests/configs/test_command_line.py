from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fire.parser import DefaultParseValue

from bundle.__main__ import quoted
from scripts.config.running import as_typed
from scripts.io import read_section
from scripts.networks import FusionFCN
from scripts.weights import save_weights

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def bundle_run(*arguments: object, cwd: Path = ROOT, pythonpath: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai.bundle", "run", *(str(argument) for argument in arguments)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {} if pythonpath is None else {"PYTHONPATH": pythonpath}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_inference_as_a_user_types_it(tiny_phantom: Path, weights: Path, tmp_path: Path) -> None:
    arguments = ["inference", "--config_file", "configs/inference.json", "--dataset_dir", tiny_phantom / "images"]
    arguments += [
        "--output_dir",
        tmp_path / "out",
        "--checkpoint",
        weights,
        "--width",
        "0.125",
        "--network_pixel_size",
        "5",
        "--pixel_size",
        "5",
        "--patch_size",
        "64",
    ]
    run = bundle_run(*arguments)
    assert run.returncode == 0, run.stderr
    assert "/6 sections" in run.stderr
    assert run.stdout.splitlines()[-1] == f"Results: {tmp_path / 'out'}"
    assert read_section(tmp_path / "out" / "test_000_mitochondria.png").shape == (96, 96)


def test_a_mistake_is_explained_in_the_last_line(tiny_phantom: Path, tmp_path: Path) -> None:
    run = bundle_run("training", "--config_file", "configs/train.json", "--ckpt_dir", tmp_path, "--epoch", "3")
    assert run.returncode != 0
    expected = "Cause: ValueError: unknown setting 'epoch' = 3; did you mean 'epochs'?"
    assert run.stderr.strip().splitlines()[-1] == expected


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Weights whose record says all that they need."""
    torch.manual_seed(0)
    settings = {"width": 0.125, "network_pixel_size": 5.0, "threshold": 0.3}
    save_weights(FusionFCN(width=0.125).state_dict(), tmp_path / "weights.pt", {"settings": settings})
    return tmp_path / "weights.pt"


def test_names_that_fire_reads_as_something_else_from_another_folder(
    tiny_phantom: Path, recorded: Path, tmp_path: Path
) -> None:
    """A folder named by a number and one with a # in its name, the weights alone, and the bundle somewhere else."""
    elsewhere = tmp_path / "elsewhere"
    for name in ("2024_01_15", "out"):  # `out` is not where the results go
        (elsewhere / name).mkdir(parents=True)
    shutil.copy(sorted((tiny_phantom / "images").iterdir())[0], elsewhere / "2024_01_15" / "a.png")
    arguments = ["inference", "--config_file", ROOT / "configs" / "inference.json", "--bundle_root", ROOT]
    arguments += ["--dataset_dir", "2024_01_15", "--output_dir=out#2", "--checkpoint", recorded, "--width", 0.125]
    run = bundle_run(*arguments, "--pixel_size", 5, "--threshold", 0.4, cwd=elsewhere, pythonpath=str(ROOT))
    assert run.returncode == 0, run.stderr
    assert (elsewhere / "out#2" / "a_mitochondria.png").is_file()
    assert not list((elsewhere / "out").iterdir())
    said = [line for line in run.stdout.splitlines() if "overrides" in line]
    assert len(said) == 1
    assert f"threshold 0.4 of the settings overrides 0.3 of {recorded.with_suffix('.json')}" in said[0]


@pytest.mark.parametrize("config", ["train", "inference"])
def test_without_the_bundle_on_the_path_one_line_says_what_to_do(tmp_path: Path, config: str) -> None:
    (tmp_path / "scripts").mkdir()  # as many projects have one
    file = ROOT / "configs" / f"{config}.json"
    run = bundle_run("run", "--config_file", file, "--bundle_root", ROOT, "--logging_file", "False", cwd=tmp_path)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "PYTHONPATH" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dataset_dir", "20240115"),
        ("dataset_dir", "2024_01_15"),
        ("output_dir", "1e3"),
        ("ckpt_dir", "True"),
        ("checkpoint", "7"),
        ("dataset_dir", "raw#2"),
        ("output_dir", "out #2/b"),
        ("experiment", "a#b"),
        ("dataset_dir", "raw,b"),
        ("output_dir", "1,2"),
        ("dataset_dir", "[1]"),
        ("ckpt_dir", "{a}"),
        ("name", "1e3"),
        ("version", "0.4"),
    ],
)
def test_text_is_kept(name: str, text: str) -> None:
    config = {name: DefaultParseValue(text)}
    assert config[name] != text
    hyphens = name.replace("_", "-")
    ways = ["--other", "1", f"--{name}", text], [f"--{name}={text}", "--last"]
    for arguments in (*ways, [f"--{hyphens}", text], [f"-{name}", text]):
        assert as_typed(config, arguments) == {name: text}


@pytest.mark.parametrize(
    ("name", "text"),
    [("dataset_dir", "raw"), ("epochs", "3"), ("dataset_dir", "['a#1','b']"), ("device", "$torch.device('cpu')")],
)
def test_what_was_read_rightly_is_left(name: str, text: str) -> None:
    assert as_typed({name: DefaultParseValue(text)}, [f"--{name}", text]) == {}


def test_text_of_the_bundle_s_own_commands_is_kept() -> None:
    def command(
        *data: str,
        checkpoint: str,
        output: str | None = None,
        output_dir: str = "",
        trials: int = 1,
        **settings: object,
    ) -> None:
        raise AssertionError

    arguments = [
        "raw#2",
        "20240115",
        "--checkpoint",
        "1e3",
        "--output=a#b",
        "--trials",
        "3",
        "--output",
        "None",
        "--output-dir",
        "a#b",
    ]
    kept = quoted([*arguments, "--width", "0.25"], command)
    assert [DefaultParseValue(a.removeprefix("--output=")) for a in kept] == [
        "raw#2", "20240115", "--checkpoint", "1e3", "a#b", "--trials", 3, "--output", None, "--output-dir", "a#b",
        "--width", 0.25
    ]  # fmt: skip
