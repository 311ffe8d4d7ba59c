"""The shipped network as a package of bioimage.io, for ilastik, deepImageJ, QuPath and others."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bundle.release.package import NAME, check_weights
from bundle.runs import ROOT, load_network, settings_of_weights
from scripts.io import write_atomically
from scripts.phantom import PhantomTissue, acquire
from scripts.weights import read_record

__all__ = ["EqualizedNetwork", "bioimageio"]

WEIGHTS = ROOT / "models" / "model.pt"
SMALLEST, STEP, HALO = 128, 16, 32
"""Pixels: of the least tile, between two sizes of a tile, and of its border that is not to be used."""
SIZE = 256
"""Pixels to the side of the tensors that the package tests itself with."""
SEED = 4


class EqualizedNetwork(nn.Module):
    """The network with what other programs do not do: equalisation before it, probabilities after it.

    Each pixel becomes its rank among all pixels of the image that is given, as `scripts.grey_levels` equalises sections
    that are all tissue, but for its bins.

    Args:
        network: maps (batch, 1, width, height) in [0, 1] to logits of background and mitochondrion.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score images.

        Args:
            x: (batch, 1, height, width), grey levels of any range.

        Returns:
            Probability of mitochondrion, (batch, 1, height, width).
        """
        pixels = x.flatten(1)
        ordered = pixels.sort(dim=1)[0]
        below = torch.searchsorted(ordered, pixels, right=False)
        until = torch.searchsorted(ordered, pixels, right=True)
        ranks = (below + until).to(x.dtype) / (2 * pixels.shape[1])
        logits = self.network(ranks.reshape(x.shape).transpose(2, 3))
        return logits.softmax(dim=1)[:, 1:2].transpose(2, 3)


def bioimageio(output: str = "dist") -> str:
    """Write the shipped Fusion FCN as a package of bioimage.io, with TorchScript and the tensors that it is tested by.

    The CRF, the resampling to the network's pixel size and the search for tissue are not in it: programs that open it
    give sections at that pixel size, and get probabilities.

    Args:
        output: folder for `em_mitochondria_segmentation_v<version>_bioimageio.zip`.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: the shipped weights are missing.
        ValueError: the shipped weights are not those of their record.
        OSError: the file cannot be written.
    """
    from bioimageio.spec import save_bioimageio_package  # a development dependency

    check_weights()
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text())
    archive = Path(output).resolve() / f"{NAME}_v{metadata['version']}_bioimageio.zip"
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of_weights(WEIGHTS)
        _write(Path(folder), settings)
        description = _describe(Path(folder), metadata, settings["network_pixel_size"])
        write_atomically(archive, lambda path: save_bioimageio_package(description, output_path=path))
    return f"{archive}: {archive.stat().st_size / 1e6:.1f} MB"


def _write(folder: Path, settings: dict[str, Any]) -> None:
    """Write the files of the package."""
    network = EqualizedNetwork(load_network(WEIGHTS)).eval()
    tissue = PhantomTissue(1, (2 * SIZE, 2 * SIZE), SEED).section(0)[0]
    image = acquire(tissue, np.random.default_rng(SEED)).T.reshape(SIZE, 2, SIZE, 2).mean((1, 3))
    image = image.astype(np.float32)[None, None]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is what the programs read
        script = torch.jit.script(network)
        torch.jit.save(script, str(folder / "weights.ts"))
        found = script(torch.from_numpy(image)).numpy()
    np.save(folder / "image.npy", image)
    np.save(folder / "probability.npy", found)
    shutil.copy(ROOT / "docs" / "bioimageio_cover.png", folder / "cover.png")
    (folder / "README.md").write_text(_text(settings["network_pixel_size"], settings["threshold_without_crf"]))


def _describe(folder: Path, metadata: dict[str, Any], pixel_size: float) -> object:
    """Describe the package."""
    from bioimageio.spec.model import v0_5 as spec

    def axes(kind: str) -> list:
        channel = spec.ChannelAxis(channel_names=["grey" if kind == "image" else "mitochondrion"])
        space = {"scale": pixel_size, "unit": "nanometer"}
        if kind == "image":
            sides = [
                spec.SpaceInputAxis(id=name, size=spec.ParameterizedSize(min=SMALLEST, step=STEP), **space)
                for name in "yx"
            ]
        else:
            sides = [
                spec.SpaceOutputAxisWithHalo(
                    id=name, halo=HALO, size=spec.SizeReference(tensor_id="image", axis_id=name), **space
                )
                for name in "yx"
            ]
        return [spec.BatchAxis(), channel, *sides]

    return spec.ModelDescr(
        name="Mitochondria in serial-section electron microscopy",
        description=metadata["description"],
        version=metadata["version"],
        timestamp=datetime.now(UTC),
        authors=[spec.Author(name=metadata["authors"])],
        cite=[spec.CiteEntry(text=metadata["references"][1], doi="10.1109/CVPR.2017.660")],
        license="CC-BY-NC-SA-3.0",
        tags=["mitochondria", "electron-microscopy", "2d", "segmentation", "semantic-segmentation", "pytorch", "brain"],
        covers=[spec.FileDescr(source=folder / "cover.png")],
        documentation=spec.FileDescr(source=folder / "README.md"),
        inputs=[
            spec.InputTensorDescr(
                id="image",
                description=f"a section at {pixel_size:g} nm a pixel",
                axes=axes("image"),
                test_tensor=spec.FileDescr(source=folder / "image.npy"),
                data=spec.IntervalOrRatioDataDescr(type="float32"),
                preprocessing=[spec.EnsureDtypeDescr(kwargs=spec.EnsureDtypeKwargs(dtype="float32"))],
            )
        ],
        outputs=[
            spec.OutputTensorDescr(
                id="probability",
                description="probability of mitochondrion",
                axes=axes("probability"),
                test_tensor=spec.FileDescr(source=folder / "probability.npy"),
                data=spec.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
            )
        ],
        weights=spec.WeightsDescr(
            torchscript=spec.TorchscriptWeightsDescr(
                source=folder / "weights.ts", pytorch_version=torch.__version__.split("+")[0]
            )
        ),
    )


def _text(pixel_size: float, threshold: float) -> str:
    record = read_record(WEIGHTS)
    scores = {name: results["without_crf"]["jaccard"] for name, results in record["test"].items()}
    rows = "\n".join(f"| {name} | {score:.3f} |" for name, score in scores.items())
    terms = "\n".join(f"- {name}: {text}" for name, text in record["training_data"].items())
    return f"""# Mitochondria in serial-section electron microscopy

A Fusion FCN (dilated ResNet-50, pyramid pooling, inception-like upsampling) that scores each pixel of a section of
ATUM-SEM, ssTEM or related electron microscopy: the probability that it belongs to a mitochondrion.

**Give it sections at {pixel_size:g} nm a pixel**, resampled where they are not. It equalises the grey levels of what it
is given: whole sections, or tiles of at least 512 x 512 pixels of tissue. Threshold at {threshold:g}.

The bundle that it comes from does more: it resamples, finds the tissue, refines by a fully connected CRF, aligns the
sections, numbers and measures mitochondria through the stack.

## Validation

Jaccard index on sections that were not trained on, without the CRF:

| test part | Jaccard |
| --- | --- |
{rows}

On tissue that nobody trained on it is far lower: look at the result, and fine-tune.

## Terms

The weights are for non-commercial research only, as is the data that they were trained on:

{terms}
"""
