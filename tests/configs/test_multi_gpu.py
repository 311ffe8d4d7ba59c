from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def torchrun(*configs: str, **overrides: object) -> str:
    """Run configs in two processes on the CPU."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "monai.bundle", "run", "run", "--config_file"]
    command += [str([f"configs/{name}.json" for name in configs])]
    for key, value in overrides.items():
        command += [f"--{key}", str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return run.stdout + run.stderr


@pytest.mark.slow
def test_two_processes(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    small = {
        "dataset_dir": tiny_phantom,
        "ckpt_dir": tmp_path,
        "width": 0.125,
        "network_pixel_size": 5.0,
        "patch_size": 64,
        "num_workers": 0,
    }
    brief = {"epochs": 2, "val_interval": 1, "patches_per_section": 2, "batch_size": 2, "use_crf": False}
    torchrun("train", "multi_gpu", **small, **brief)
    state = torch.load(tmp_path / "checkpoint.pt")
    # two sections, two patches of each, in two processes with two patches a step: one step an epoch
    assert (state["epoch"], state["iteration"]) == (2, 2)
    assert not any(key.startswith("module.") for key in state["network"])

    torchrun("inference", "evaluate", "multi_gpu", **small, use_crf=False)
    single = {**small, "bundle_root": str(ROOT), "output_dir": str(tmp_path / "single"), "use_crf": False}
    run_config(
        "inference",
        "evaluate",
        **{key: str(value) if isinstance(value, Path) else value for key, value in single.items()},
    )
    both = [json.loads((tmp_path / name / "jaccard.json").read_text()) for name in ("evaluation", "single")]
    assert both[0]["sections"] == 2
    assert both[0]["without_crf"] == both[1]["without_crf"]
