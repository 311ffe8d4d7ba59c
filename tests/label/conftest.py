"""A real MONAI Label server, in its own environment, for the tests of this folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import pytest
import torch
from monailabel_server import AFFINE, Server

from bundle.data.phantom import phantom
from scripts.io import read_section, write_section


@pytest.fixture(scope="session")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantom sections of 192x192 pixels, 6 of them, with their labels."""
    folder = tmp_path_factory.mktemp("tissue")
    phantom(output=str(folder), seed=3, size=192, sections=(6, 1, 1))
    return folder


@pytest.fixture(scope="session")
def studies(tissue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sections of each format, and a damaged one."""
    folder = tmp_path_factory.mktemp("label") / "my sections"
    folder.mkdir()
    images = sorted((tissue / "images").glob("train*.png"))
    for number, image in enumerate(images):
        shutil.copy(image, folder / f"s{number}.png")
    pixels = read_section(images[0])[:160]  # width and height differ
    for name in ("picture.png", "lzw.v1.tif", "long.tiff"):
        write_section(folder / name, pixels)
    nib.save(nib.Nifti1Image(pixels, AFFINE), folder / "volume.nii.gz")
    write_section(folder / "capitals.tif", pixels)
    (folder / "capitals.tif").rename(folder / "CAPITALS.TIF")
    write_section(folder / "small.png", pixels[:90, :100])  # less than the network's least size
    (folder / "._picture.png").write_bytes(b"what a Mac leaves behind")
    (folder / "damaged.png").write_bytes((folder / "picture.png").read_bytes()[:1000])
    return folder


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another bundle, which takes bright pixels, and has a package `scripts` too."""
    folder = tmp_path_factory.mktemp("bundles") / "bright_segmentation"
    for name in ("configs", "models", "scripts"):
        (folder / name).mkdir(parents=True)
    (folder / "scripts" / "__init__.py").write_text("from . import networks\n")
    (folder / "scripts" / "networks.py").write_text(
        "import torch\n\n\nclass Bright(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.register_buffer('level', torch.zeros(1))\n\n"
        "    def forward(self, x):\n        return (x > self.level).float()\n"
    )
    torch.save({"level": torch.tensor([0.5])}, folder / "models" / "model.pt")
    transforms = [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "ScaleIntensityd", "keys": "image"},
    ]
    config = {
        "imports": ["$import scripts"],
        "bundle_root": ".",
        "device": "cpu",
        "network_def": {"_target_": "scripts.networks.Bright"},
        "preprocessing": {"_target_": "Compose", "transforms": transforms},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "SqueezeDimd", "keys": "pred", "dim": 0},
                {"_target_": "CastToTyped", "keys": "pred", "dtype": "$torch.uint8"},
            ],
        },
    }
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    data = {
        "inputs": {"image": {"spatial_shape": [1, 1], "channel_def": {"0": "image"}}},
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "bright"}}},
    }
    metadata = {"version": "0.1.0", "description": "bright", "network_data_format": data}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


@pytest.fixture(scope="session")
def server(studies: Path, other_bundle: Path) -> Iterator[Server]:
    """The server, running."""
    python = os.environ.get("LABEL_PYTHON")
    if python is None:
        pytest.skip("needs MONAI Label's environment: `make test_label` makes it and sets LABEL_PYTHON")
    server = Server(python, studies, other_bundle, pixel_size=5)
    server.start()
    yield server
    server.stop()
