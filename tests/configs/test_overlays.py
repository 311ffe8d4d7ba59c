from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from scripts.config import first_cause
from scripts.handlers import load_weights
from scripts.networks import FusionFCN, UNet
from scripts.weights import default_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_unet_trains_and_segments(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    run_config("train", "unet", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path))
    run_config(
        "inference",
        "unet",
        dataset_dir=str(tiny_phantom / "images"),
        checkpoint=str(tmp_path / "model.pt"),
        output_dir=str(tmp_path / "output"),
    )
    assert len(list((tmp_path / "output").iterdir())) == 6 + 1  # what made them


def test_unet_has_ronnebergers_size() -> None:
    parser = ConfigParser()
    parser.read_config([str(ROOT / "configs" / f"{name}.json") for name in ("train", "unet")])
    parser["width"] = 1.0
    network = parser.get_parsed_content("network_def")
    assert isinstance(network, UNet)
    # 31.0 million in the paper's layout
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(31.0e6, rel=0.02)


@pytest.mark.slow
def test_quickstart(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    run_config("train", "quickstart", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path))
    assert (tmp_path / "model.pt").is_file()


def test_quickstart_only_makes_the_training_smaller() -> None:
    quickstart, train = (
        json.loads((ROOT / "configs" / f"{name}.json").read_text()) for name in ("quickstart", "train")
    )
    assert quickstart["epochs"] < train["epochs"]
    assert quickstart["width"] < default_settings()["width"]
    assert quickstart["patch_size"] < train["patch_size"]
    # where things lie, and what makes it smaller; nothing else
    places = {"ckpt_dir", "checkpoint"} | {key for key in quickstart if key.startswith("_")}
    fewer = {"width", "network_pixel_size", "affine_prob", "scale_range", "epochs", "patch_size"}
    assert quickstart.keys() - places == fewer


def test_training_of_the_shipped_weights(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": str(tiny_phantom), "ckpt_dir": str(tmp_path)}
    run_config("train", "train_shipped", patches_per_epoch="$2 * @patches_per_section", **settings)
    assert (tmp_path / "model.pt").is_file()


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MASTER_PORT", str(port))


def test_unet_refuses_pretrained_weights_of_the_fusion_fcn(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError) as caught:
        run_config("train", "unet", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path), encoder_weights="imagenet")
    cause = first_cause(caught.value)
    assert isinstance(cause, ValueError)
    assert "encoder_weights" in str(cause)


@pytest.mark.usefixtures("one_process")
def test_multi_gpu_train(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    run_config("train", "multi_gpu", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path), use_crf=False)
    load_weights(FusionFCN(width=0.125), tmp_path / "model.pt")


@pytest.mark.usefixtures("one_process")
def test_multi_gpu_evaluate(run_config: Callable, tiny_phantom: Path, weights: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": str(tiny_phantom), "checkpoint": str(weights), "use_crf": False}
    run_config("inference", "evaluate", output_dir=str(tmp_path / "single"), **settings)
    run_config("inference", "evaluate", "multi_gpu", output_dir=str(tmp_path / "multi"), **settings)
    single, multi = (json.loads((tmp_path / name / "jaccard.json").read_text()) for name in ("single", "multi"))
    assert single == multi
    assert not torch.distributed.is_initialized()
