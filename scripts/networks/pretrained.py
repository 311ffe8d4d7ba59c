"""Pretrained weights of the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

IMAGENET_URL = "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"
"""Torchvision's ResNet50_Weights.IMAGENET1K_V2; the name ends in the start of the file's SHA-256."""

_MOCO_PREFIX = "module.encoder_q."


def load_pretrained(encoder: nn.Module, encoder_weights: str | Path) -> None:
    """Copy published weights into a ResNet-50 with torchvision's parameter names.

    Understood are a state dict as torchvision publishes it, one under the key `state_dict`, and one of MoCo, whose
    query encoder is taken: the weights pretrained on the electron microscopy of CEM500K (Conrad and Narayan 2021,
    https://zenodo.org/records/6453140) come in this form. The classifier `fc` is left out. Where the first convolution
    has weights for three channels and the encoder has one, they are summed; where it is the other way round, they are
    repeated and divided by three. In both cases a grey image gives what it gave.

    Args:
        encoder: network whose parameters are overwritten, with the channels of the original ResNet-50.
        encoder_weights: "imagenet" for torchvision's weights (IMAGENET1K_V2, downloaded once into the cache of
            `torch.hub`), or the path of a file.

    Raises:
        FileNotFoundError: if there is no file at the path.
        ConnectionError: if "imagenet" has to be downloaded and cannot be.
        ValueError: if the file is no checkpoint, or if its keys or shapes are not those of the encoder.
    """
    checkpoint = _download() if encoder_weights == "imagenet" else _read(Path(encoder_weights))
    source = IMAGENET_URL if encoder_weights == "imagenet" else encoder_weights
    weights = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError(f"{source} is no checkpoint: it must hold a state dict, or one under the key 'state_dict'.")
    if any(key.startswith(_MOCO_PREFIX) for key in weights):
        weights = {k.removeprefix(_MOCO_PREFIX): v for k, v in weights.items() if k.startswith(_MOCO_PREFIX)}
    weights = {key: value for key, value in weights.items() if not key.startswith("fc.")}

    expected = encoder.state_dict()
    if "conv1.weight" in weights:
        weights["conv1.weight"] = _match_channels(weights["conv1.weight"], expected["conv1.weight"].shape[1])
    # old checkpoints do not count batches, which is of no consequence
    counters = [key for key in expected if key.endswith("num_batches_tracked")]
    weights = {**{key: expected[key] for key in counters}, **weights}
    problems = mismatch(weights, expected)
    if problems:
        raise ValueError(f"{source} does not fit a ResNet-50 with torchvision's keys: {problems}.")
    encoder.load_state_dict(weights)


def _download() -> dict[str, torch.Tensor]:
    try:
        return torch.hub.load_state_dict_from_url(IMAGENET_URL, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # no connection, or not the file that the hash belongs to
        raise ConnectionError(
            f"The ImageNet weights could not be downloaded from {IMAGENET_URL} ({error}). Without a connection, "
            "download this file elsewhere and give its path as `encoder_weights`."
        ) from error


def _read(path: Path) -> object:
    if not path.is_file():
        raise FileNotFoundError(f"No pretrained weights at {path}: give 'imagenet' or the path of a checkpoint.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch.load raises depends on what the file happens to start with
        raise ValueError(f"{path} is no PyTorch checkpoint, or holds more than weights.") from error


def _match_channels(weight: torch.Tensor, in_channels: int) -> torch.Tensor:
    """Turn the weights of a first convolution for grey images into those for RGB images, or the other way round."""
    if weight.ndim == 4 and weight.shape[1] == 3 and in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    if weight.ndim == 4 and weight.shape[1] == 1 and in_channels == 3:
        return weight.repeat(1, 3, 1, 1) / 3
    return weight


def mismatch(weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], most: int = 5) -> str:
    """Say where a state dict does not fit a network.

    Args:
        weights: the state dict.
        expected: that of the network.
        most: how many keys are named of each kind.

    Returns:
        Missing, unexpected and misshapen keys; empty if all fits.
    """
    problems = {
        "missing": sorted(expected.keys() - weights.keys()),
        "unexpected": sorted(weights.keys() - expected.keys()),
        "of another shape": sorted(
            f"{key} {tuple(weights[key].shape)} instead of {tuple(expected[key].shape)}"
            for key in expected.keys() & weights.keys()
            if weights[key].shape != expected[key].shape
        ),
    }
    return "; ".join(
        f"{len(keys)} {kind}: {', '.join(keys[:most])}" + (f" and {len(keys) - most} more" if len(keys) > most else "")
        for kind, keys in problems.items()
        if keys
    )
