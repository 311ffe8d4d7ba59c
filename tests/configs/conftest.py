"""Running of configs on the tiny phantom, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from scripts.networks import FusionFCN

ROOT = Path(__file__).parents[2]
SMALL = {
    "bundle_root": str(ROOT),
    "width": 0.125,
    "network_pixel_size": 5.0,
    "patch_size": 64,
    "num_workers": 0,
    "device": "$torch.device('cpu')",
}
BRIEF = {"epochs": 1, "val_interval": 1, "patches_per_section": 2, "batch_size": 2, "learning_rate": 0.01}


@pytest.fixture
def run_whole_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Run a config that trains and scores nothing, given by its name and run id, with overrides."""
    monkeypatch.chdir(tmp_path)  # nothing may be written relative to the current folder
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr("sys.excepthook", lambda *_: None)

    def run(name: str, run_id: str, **overrides: Any) -> None:
        files = [str(ROOT / "configs" / f"{name}.json")]
        workflow = ConfigWorkflow(files, logging_file=False, run_id=run_id, bundle_root=str(ROOT), **overrides)
        workflow.initialize()
        workflow.run()
        workflow.finalize()

    return run


@pytest.fixture
def analysed(tmp_path: Path, run_whole_config: Callable[..., None]) -> Callable[..., Path]:
    """Run objects on the folder `masks`."""

    def run(**overrides: object) -> Path:
        settings = {"dataset_dir": str(tmp_path / "masks"), "output_dir": str(tmp_path / "out"), **overrides}
        run_whole_config("objects", "objects", **settings)
        return Path(settings["output_dir"])

    return run


@pytest.fixture
def run_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., ConfigWorkflow]:
    """Run config files, given by their names, with overrides."""
    monkeypatch.chdir(tmp_path)  # nothing may be written relative to the current folder
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr("sys.excepthook", lambda *_: None)

    def run(*names: str, **overrides: Any) -> ConfigWorkflow:
        run_id = "evaluating" if "evaluate" in names else "inference" if "inference" in names else "training"
        workflow_type = "train" if run_id == "training" else "infer"
        files = [str(ROOT / "configs" / f"{name}.json") for name in names]
        small = {**SMALL, **(BRIEF if run_id == "training" else {})}
        workflow = ConfigWorkflow(
            files, workflow_type=workflow_type, logging_file=False, run_id=run_id, **{**small, **overrides}
        )
        workflow.initialize()
        workflow.run()
        assert not workflow.check_properties()
        workflow.finalize()
        return workflow

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained narrow Fusion FCN."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(FusionFCN(width=SMALL["width"]).state_dict(), path)
    return path
