"""How unsure a network is of a section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad

from scripts.tiles import tile_corners

from .fuse import fuse_conv_bn

__all__ = ["PatchUncertainty", "dropout_uncertainty", "mean_uncertainty", "patch_uncertainties"]


@dataclass(frozen=True)
class PatchUncertainty:
    """How unsure a network is of a patch.

    Attributes:
        left: of the patch in pixels, along x.
        top: of the patch in pixels, along y.
        width: in pixels.
        height: in pixels.
        nats: mutual information of a pixel, its mean over the patch.
    """

    left: int
    top: int
    width: int
    height: int
    nats: float


def dropout_uncertainty(network: nn.Module, section: torch.Tensor, **options: Any) -> float:
    """Measure the epistemic uncertainty of a network as the mean over the pixels of a section.

    Args:
        network: see `patch_uncertainties`.
        section: (channel, width, height) as the network wants it.
        **options: of `patch_uncertainties`.

    Returns:
        The mutual information in nats per pixel, from 0 to the logarithm of the number of classes.

    Raises:
        ValueError: see `patch_uncertainties`.
    """
    return mean_uncertainty(patch_uncertainties(network, section, **options))


def mean_uncertainty(patches: Sequence[PatchUncertainty]) -> float:
    """Average over the pixels of patches.

    Args:
        patches: of one section, at least one.

    Returns:
        Nats per pixel.
    """
    pixels = [patch.width * patch.height for patch in patches]
    return sum(patch.nats * count for patch, count in zip(patches, pixels, strict=True)) / sum(pixels)


@torch.no_grad()
def patch_uncertainties(
    network: nn.Module,
    section: torch.Tensor,
    samples: int = 20,
    dropout: float = 0.5,
    patch_size: int = 256,
    max_patches: int = 16,
    seed: int = 0,
) -> list[PatchUncertainty]:
    """Measure the epistemic uncertainty of a network by its dropout, patch by patch.

    With dropout acting, a network is a sample from the posterior of its weights (Gal and Ghahramani 2016, "Dropout as
    a Bayesian approximation"). The measure is the mutual information of label and weights (Houlsby et al. 2011,
    "Bayesian active learning for classification"): the entropy of the mean probabilities less the mean entropy of the
    samples. It is high where samples contradict each other, and low where all agree that a pixel is undecided, as on
    blurred borders, about which no label would teach the network more.

    Args:
        network: network that maps (batch, channel, width, height) to logits, with one dropout layer near its end, as
            the networks of this package; it stays as it is.
        section: (channel, width, height) as the network wants it, at the pixel size that it was trained at.
        samples: number of samples, at least 2. They differ from the dropout layer on; what comes before it is computed
            once for all of them.
        dropout: probability of dropping a channel, in (0, 1). With that of the training, 0.1, most samples of a narrow
            layer are equal, and the order of sections hangs on the seed.
        patch_size: width and height of a patch in pixels of the section as it is given.
        max_patches: a larger section is judged by this many patches, evenly spread over it, to bound the time.
        seed: of the dropout, so that sections are compared by the same networks.

    Returns:
        The patches that were looked at.

    Raises:
        ValueError: fewer than 2 samples or no patches are asked for, or a probability that is none, or the network has
            not one layer of dropout.
    """
    if samples < 2 or max_patches < 1:
        raise ValueError(f"samples must be at least 2 and max_patches 1, but got {samples} and {max_patches}")
    if not 0 < dropout < 1:
        raise ValueError(f"dropout must be between 0 and 1, but got {dropout}")
    network = _sampling(fuse_conv_bn(network), samples, dropout)
    result = []
    with torch.random.fork_rng(devices=[section.device] if section.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for left, top in _corners(section, patch_size, max_patches):
            patch = section[:, left : left + patch_size, top : top + patch_size]
            width, height = patch.shape[1:]
            padded = pad(patch[None], (0, patch_size - height, 0, patch_size - width), mode="replicate")
            draws = network(padded)[:, :, :width, :height].float().softmax(dim=1)
            information = _entropy(draws.mean(dim=0)) - _entropy(draws).mean(dim=0)
            nats = max(0.0, information.mean().item())  # rounding can leave it below 0
            result.append(PatchUncertainty(left, top, width, height, nats))
    return result


class _Sampling(nn.Module):
    """Dropout that makes several samples of one input."""

    def __init__(self, samples: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(dropout)
        self.samples = samples

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(x.repeat_interleave(self.samples, dim=0))


def _sampling(network: nn.Module, samples: int, dropout: float) -> nn.Module:
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Dropout2d)]
    if len(layers) != 1:
        raise ValueError(
            f"{type(network).__name__} has {len(layers)} layers of dropout, epistemic uncertainty needs one"
        )
    network.set_submodule(layers[0], _Sampling(samples, dropout))
    return network


def _corners(section: torch.Tensor, size: int, most: int) -> list[tuple[int, int]]:
    """Cover a section with a regular grid of patches, or thin the grid out evenly."""
    corners = tile_corners(section.shape[1:], (size, size))
    if len(corners) > most:
        corners = [corners[(2 * i + 1) * len(corners) // (2 * most)] for i in range(most)]
    return corners


def _entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Give the entropy over the classes, the third axis from the end, in nats."""
    return -torch.xlogy(probabilities, probabilities).sum(dim=-3)
