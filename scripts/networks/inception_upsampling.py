"""Inception-like upsampling."""

from __future__ import annotations

import torch
from torch import nn


class InceptionUpsampling(nn.Module):
    """Doubles the size of features by parallel deconvolutions of three kernel sizes, after Szegedy et al. 2015.

    As in an Inception block, each branch reduces the channels by a 1x1 convolution before its large kernel, and the
    branches are concatenated. The kernels are 2x2, 4x4 and 6x6, multiples of the stride of 2: every output pixel gets
    the same number of terms, and no checkerboard appears. The 4x4 branch gives half of the output's channels.

    Args:
        in_channels: channels of the features.
        out_channels: channels of the output, a multiple of 4.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        quarter = out_channels // 4
        self.branch2 = _branch(in_channels, quarter, kernel_size=2)
        self.branch4 = _branch(in_channels, 2 * quarter, kernel_size=4)
        self.branch6 = _branch(in_channels, quarter, kernel_size=6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upsample features.

        Args:
            x: features, (batch, in_channels, W, H).

        Returns:
            (batch, out_channels, 2W, 2H).
        """
        return torch.cat([self.branch2(x), self.branch4(x), self.branch6(x)], dim=1)


def _branch(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Reduce the channels, then double the size."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 2 * out_channels, kernel_size=1, bias=False),
        nn.BatchNorm2d(2 * out_channels),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(
            2 * out_channels, out_channels, kernel_size, stride=2, padding=kernel_size // 2 - 1, bias=False
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
