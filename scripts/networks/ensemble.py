"""A Fusion FCN and a U-Net that score together."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn

from .fusion_fcn import FusionFCN
from .unet import UNet

UNET_WIDTH = 0.5
"""Of the U-Net, as a share of that of the Fusion FCN: 0.25 beside 0.5, as both are shipped."""


class Ensemble(nn.Module):
    """The mean of what a Fusion FCN and a U-Net say: an ensemble in one file of weights, used as any other network.

    Networks that are trained from different random weights err in different places, and more so if they are of
    different kinds; the mean of their probabilities has fewer of either's errors (Lakshminarayanan, Pritzel and
    Blundell, "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS 2017, section 2.4).
    `python -m bundle ensemble` joins the weights of two trainings.

    Args:
        in_channels: channels of the images.
        out_channels: number of classes.
        width: of the Fusion FCN, see `FusionFCN`; the U-Net has half of it.
        dropout: of both networks.
        downsampling: of both networks.
        encoder_weights: of the Fusion FCN.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        width: float = 1.0,
        dropout: float = 0.0,
        downsampling: int = 1,
        encoder_weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.fusion_fcn = FusionFCN(in_channels, out_channels, width, dropout, downsampling, encoder_weights)
        self.unet = UNet(in_channels, out_channels, UNET_WIDTH * width, dropout, downsampling)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score each pixel.

        Args:
            x: images, as for both networks.

        Returns:
            Logits, (batch, out_channels, W, H), in float32: logarithms of the mean of the probabilities.
        """
        # under autocast too: a logarithm near 0 is the probability of a pixel that is certain
        first = self.fusion_fcn(x).float().log_softmax(dim=1)
        second = self.unet(x).float().log_softmax(dim=1)
        return torch.logaddexp(first, second) - math.log(2)
