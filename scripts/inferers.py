"""The inferer of a whole section."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from torch import nn

from scripts.networks import for_inference

__all__ = ["SectionInferer"]


class SectionInferer(SlidingWindowInferer):
    """Score a section in overlapping windows, with the batch normalisations folded into the convolutions.

    What makes inference fast belongs here and not into handlers of an evaluator, so that programs that take only the
    inferer of a bundle, such as MONAI Label, get the same scores to the bit. A network in training mode is used as for
    epistemic uncertainty: its dropout acts, its batch normalisations keep their running statistics.

    Args:
        *args: of ``monai.inferers.SlidingWindowInferer``.
        amp: whether to compute in mixed precision; on CUDA devices only.
        **kwargs: of ``monai.inferers.SlidingWindowInferer``.
    """

    def __init__(self, *args: Any, amp: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.amp = amp
        self._folded: tuple[tuple, nn.Module] | None = None

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Score sections.

        Args:
            inputs: (batch, channel, width, height).
            network: any network; it stays as it is.
            *args: further inputs of the network.
            **kwargs: further inputs of the network.

        Returns:
            The logits, (batch, classes, width, height).
        """
        with torch.autocast("cuda", enabled=self.amp):
            return super().__call__(inputs, self._fold(network), *args, **kwargs)

    def _fold(self, network: nn.Module) -> nn.Module:
        # once for all sections of a run, and again when other weights have been loaded
        versions = [tensor._version for tensor in chain(network.parameters(), network.buffers())]
        key = (id(network), network.training, versions)
        if self._folded is None or self._folded[0] != key:
            self._folded = key, for_inference(network, keep_dropout=network.training)
        return self._folded[1]
