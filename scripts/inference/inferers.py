"""MONAI's inferers in mixed precision, and those of whole sections."""

from __future__ import annotations

from collections.abc import Sequence
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
from .onednn import fuse_activations

__all__ = ["ProbabilityInferer", "SectionInferer", "SimpleInferer", "SlidingWindowInferer"]


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
    """Score a section in overlapping windows, with the batch normalisations, and on the CPU the activations, fused.

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
            folded = fuse_conv_bn(network, keep_dropout=network.training)
            if all(tensor.device.type == "cpu" for tensor in folded.parameters()):
                fuse_activations(folded)
            self._folded = key, folded
        return self._folded[1]


class ProbabilityInferer(Inferer):
    """Give the probability of mitochondria in sections, seen by the network at the pixel size that it was trained at.

    So a section costs the network the same per square micrometre however finely it was imaged, and what follows works
    on the section as it is. The pixel size of the sections, x and y in nanometres, is read from `pixel_size` in their
    meta data; sections without it are taken as they are. Pixels that are no squares become squares.

    The log-odds are brought back to the section's own pixels, one channel in place of two, which is the same as
    resampling the logits and half as large; where there is more than one view, their probabilities are averaged.

    Args:
        inferer: what scores the resampled sections: logits of two classes, the second of them mitochondrion.
        pixel_size: of the network, in nanometres.
        scales: test-time augmentation: how many times as large the section is shown.
        flips: test-time augmentation: dimensions in which it is flipped, 2 (width) and 3 (height), for each view.

    Raises:
        ValueError: a scale is not positive, or there is no view.

    References:
        D. Shanmugam et al.: Better Aggregation in Test-Time Augmentation. ICCV 2021.
    """

    def __init__(
        self,
        inferer: Inferer,
        pixel_size: float,
        scales: Sequence[float] = (1.0,),
        flips: Sequence[Sequence[int]] = ((),),
    ) -> None:
        super().__init__()
        if not scales or not flips or not all(scale > 0 for scale in scales):
            raise ValueError(f"scales and flips must be lists, of factors above 0, but got {scales} and {flips}")
        self.inferer = inferer
        self.pixel_size = pixel_size
        self.scales = tuple(scales)
        self.flips = tuple(map(tuple, flips))

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Score sections.

        Args:
            inputs: (batch, 1, width, height), all of one pixel size.
            network: any network of two classes; it stays as it is.
            *args: further inputs of the network.
            **kwargs: further inputs of the network.

        Returns:
            Probability of mitochondrion, float32 (batch, 1, width, height).

        Raises:
            ValueError: there are not two classes.
        """
        known = inputs.meta.get("pixel_size") if isinstance(inputs, MetaTensor) else None
        # of one section, or of each of a batch
        own = [self.pixel_size] * 2 if known is None else torch.as_tensor(known).double().reshape(-1, 2)[0].tolist()
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        mean: torch.Tensor | None = None
        for scale in self.scales:
            resampled = at_pixel_size(plain, own, self.pixel_size / scale)
            for flip in self.flips:
                odds = self.log_odds(resampled, network, flip, *args, **kwargs)
                probability = resample(odds, plain.shape[2:]).float().sigmoid_()
                mean = probability if mean is None else mean.add_(probability)
        views = len(self.scales) * len(self.flips)
        mean = mean if views == 1 else mean.div_(views)
        return MetaTensor(mean, meta=inputs.meta) if isinstance(inputs, MetaTensor) else mean

    def log_odds(
        self, view: torch.Tensor, network: nn.Module, flip: Sequence[int] = (), *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Score sections at the pixel size of the network.

        Args:
            view: (batch, 1, width, height).
            network: any network of two classes.
            flip: dimensions in which the network sees it flipped.
            *args: further inputs of the network.
            **kwargs: further inputs of the network.

        Returns:
            Log-odds of mitochondrion, float32 (batch, 1, width, height), not flipped.

        Raises:
            ValueError: there are not two classes.
        """
        # flipping copies, even in no dimension
        logits = self.inferer(view.flip(flip) if flip else view, network, *args, **kwargs)
        if logits.shape[1] != 2:
            raise ValueError(f"the network must have two classes, but got {logits.shape[1]}")
        odds = logits[:, 1:] - logits[:, :1]
        return odds.flip(flip) if flip else odds
