"""Pyramid pooling: the context of every pixel at four scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F


class PyramidPooling(nn.Module):
    """Pyramid pooling as in Figure 2 of the paper, after PSPNet (Zhao et al. 2017).

    The features are averaged over square windows of four sizes, each average is reduced to a quarter of the channels by
    a 1x1 convolution, brought back to the size of the features by deconvolution, and concatenated with the features.

    Where PSPNet divides the image into a fixed number of windows, a window here has a fixed number of pixels: a level
    sees tissue of the same extent in a training patch, in a tile and in a whole section, and its deconvolution has a
    fixed stride. Windows that reach over the edge average what is inside the image. No batch normalisation: a level of
    a single pixel in a batch of one image has no variance.

    Args:
        channels: channels of the features, a multiple of 4.
        windows: side of the windows of each level in pixels of the feature map, even numbers. The default divides the
            64x64 features of a 512x512 tile into 8x8, 4x4, 2x2 and 1x1 windows.
    """

    def __init__(self, channels: int, windows: Sequence[int] = (8, 16, 32, 64)) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_Level(channels, channels // 4, window) for window in windows)
        self.out_channels = channels + len(windows) * (channels // 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Append context to features.

        Args:
            x: features, (batch, channels, W, H).

        Returns:
            Features and context, (batch, out_channels, W, H).
        """
        return torch.cat([x] + [level(x) for level in self.levels], dim=1)


class _Level(nn.Module):
    """One level of the pyramid: pool, reduce the channels, bring back."""

    def __init__(self, in_channels: int, out_channels: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.reduce = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        self.deconvolution = nn.ConvTranspose2d(
            out_channels, out_channels, 2 * window, stride=window, padding=window // 2, groups=out_channels, bias=False
        )
        _init_bilinear(self.deconvolution)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = F.avg_pool2d(x, self.window, ceil_mode=True, count_include_pad=False)
        context = self.deconvolution(F.relu(self.reduce(pooled)))
        return context[:, :, : x.shape[2], : x.shape[3]]


@torch.no_grad()
def _init_bilinear(deconvolution: nn.ConvTranspose2d) -> None:
    """Let a depthwise deconvolution with a kernel of twice its stride start as bilinear interpolation."""
    stride = deconvolution.stride[0]
    tent = 1 - (torch.arange(0.5, 2 * stride) / stride - 1).abs()
    deconvolution.weight.copy_(tent[:, None] * tent)
