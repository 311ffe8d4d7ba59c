"""MONAI's inferers in mixed precision, and those of whole sections."""

from __future__ import annotations

from itertools import chain
from typing import Any

import monai.inferers
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from scripts.resampling import at_pixel_size, resample

from .fuse import fuse_conv_bn

__all__ = ["PixelSizeInferer", "SectionInferer", "SimpleInferer", "SlidingWindowInferer"]


class _MixedPrecision:
    """Mixed precision for an inferer, on any device.

    The network runs under autocast, in float16 on CUDA devices and in bfloat16 on the CPU; its logits are float32, and
    so is all that is made of them. MONAI's engines know it on CUDA devices only. It gains on some devices and costs
    time on others, see `scripts.networks.gains_from_amp`.

    Args:
        *args: of the inferer.
        amp: whether to compute in mixed precision.
        **kwargs: of the inferer.
    """

    def __init__(self, *args: Any, amp: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.amp = amp

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Score images.

        Args:
            inputs: float32 (batch, channel, width, height).
            network: any network; it stays as it is.
            *args: further inputs of the network.
            **kwargs: further inputs of the network.

        Returns:
            The logits, float32 (batch, classes, width, height).
        """
        if not self.amp:
            return super().__call__(inputs, network, *args, **kwargs)

        def predict(*args: Any, **kwargs: Any) -> torch.Tensor:
            return network(*args, **kwargs).float()  # before windows are weighted and summed

        with torch.autocast(inputs.device.type):
            return super().__call__(inputs, predict, *args, **kwargs)


class SimpleInferer(_MixedPrecision, monai.inferers.SimpleInferer):
    """``monai.inferers.SimpleInferer`` with `amp`, whether to compute in mixed precision."""


class SlidingWindowInferer(_MixedPrecision, monai.inferers.SlidingWindowInferer):
    """``monai.inferers.SlidingWindowInferer`` with `amp`, whether to compute in mixed precision."""


class SectionInferer(SlidingWindowInferer):
    """Score a section in overlapping windows, with the batch normalisations folded into the convolutions.

    What makes inference fast belongs here and not into handlers of an evaluator, so that programs that take only the
    inferer of a bundle, such as MONAI Label, get the same scores to the bit. A network in training mode is used as for
    epistemic uncertainty: its dropout acts, its batch normalisations keep their running statistics.

    Args:
        *args: of ``monai.inferers.SlidingWindowInferer``.
        **kwargs: of ``monai.inferers.SlidingWindowInferer``, and `amp`, whether to compute in mixed precision.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._folded: tuple[tuple, nn.Module] | None = None

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Score sections.

        Args:
            inputs: float32 (batch, channel, width, height).
            network: any network; it stays as it is.
            *args: further inputs of the network.
            **kwargs: further inputs of the network.

        Returns:
            The logits, float32 (batch, classes, width, height).
        """
        return super().__call__(inputs, self._fold(network), *args, **kwargs)

    def _fold(self, network: nn.Module) -> nn.Module:
        if isinstance(network, DistributedDataParallel):  # which cannot be copied without gradients
            network = network.module
        # once for all sections of a run, and again when other weights have been loaded
        versions = [tensor._version for tensor in chain(network.parameters(), network.buffers())]
        key = (id(network), network.training, versions)
        if self._folded is None or self._folded[0] != key:
            self._folded = key, fuse_conv_bn(network, keep_dropout=network.training)
        return self._folded[1]


class PixelSizeInferer(Inferer):
    """Show sections to a network at the pixel size that it was trained at, and bring its scores back to their own.

    So a section costs the network the same per square micrometre however finely it was imaged, and what follows works
    on the section as it is. The pixel size of the sections, x and y in nanometres, is read from `pixel_size` in their
    meta data; sections without it are taken as they are. Pixels that are no squares become squares.

    Args:
        inferer: what scores the resampled sections.
        pixel_size: of the network, in nanometres.
    """

    def __init__(self, inferer: Inferer, pixel_size: float) -> None:
        super().__init__()
        self.inferer = inferer
        self.pixel_size = pixel_size

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Score sections.

        Args:
            inputs: (batch, channel, width, height), all of one pixel size.
            network: any network; it stays as it is.
            *args: further inputs of the network.
            **kwargs: further inputs of the network.

        Returns:
            The logits, (batch, classes, width, height).
        """
        own = inputs.meta.get("pixel_size") if isinstance(inputs, MetaTensor) else None
        if own is None:
            return self.inferer(inputs, network, *args, **kwargs)
        # of one section, or of each of a batch
        width, height = torch.as_tensor(own, dtype=torch.float64).reshape(-1, 2)[0].tolist()
        resampled = at_pixel_size(inputs.as_tensor(), (width, height), self.pixel_size)
        scores = self.inferer(resampled, network, *args, **kwargs)
        return MetaTensor(resample(scores, inputs.shape[2:]), meta=inputs.meta)
