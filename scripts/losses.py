"""Losses that leave out what is not known."""

from __future__ import annotations

from typing import Any

import monai.losses
import torch

__all__ = ["DiceCELoss"]


class DiceCELoss(monai.losses.DiceCELoss):
    """``monai.losses.DiceCELoss``, of the pixels whose label is known; without any it is 0.

    Args:
        ignore_index: class of pixels that do not count, as for ``torch.nn.CrossEntropyLoss``.
        **kwargs: of ``monai.losses.DiceCELoss``, with ``to_onehot_y`` and ``softmax``.
    """

    def __init__(self, ignore_index: int = 255, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_index = ignore_index
        self.dice.ignore_index = ignore_index
        self.cross_entropy.ignore_index = ignore_index

    def ce(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Give the mean cross entropy of the pixels that are known.

        Args:
            input: logits (batch, classes, width, height).
            target: classes (batch, 1, width, height).

        Returns:
            A number; 0 where no pixel is known, of which the mean would be NaN.
        """
        return super().ce(input, target) if (target != self.ignore_index).any() else 0 * input.sum()
