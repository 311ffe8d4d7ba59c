from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.io import read_section

ROOT = Path(__file__).parents[2]


def bundle_run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai.bundle", "run", *(str(argument) for argument in arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


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
