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
        self.deconvolution = _DepthwiseDeconvolution(out_channels, window)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = F.avg_pool2d(x, self.window, ceil_mode=True, count_include_pad=False)
        return self.deconvolution(F.relu(self.reduce(pooled)), x.shape[2], x.shape[3])


class _DepthwiseDeconvolution(nn.Module):
    """Depthwise deconvolution whose kernel is twice as wide as its stride, as four outer products.

    The same, with the same weight, as ``nn.ConvTranspose2d(channels, channels, 2 * stride, stride, padding=stride // 2,
    groups=channels, bias=False)`` whose output is cropped. That has no fast implementation on CPUs, least of all in
    bfloat16. But each pixel of its output is under the kernels of two input pixels along each axis: block (i, j) of
    stride x stride pixels, before padding is cut off, is the sum over a, b in {0, 1} of x[i - a, j - b] times quarter
    (a, b) of the kernel. For each channel that is one product of matrices. It starts as bilinear interpolation.

    Args:
        channels: channels of the features.
        stride: an even factor by which they are enlarged.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        tent = 1 - (torch.arange(0.5, 2 * stride) / stride - 1).abs()
        self.weight = nn.Parameter((tent[:, None] * tent).repeat(channels, 1, 1, 1))

    def forward(self, x: torch.Tensor, width: int, height: int) -> torch.Tensor:
        """Enlarge features.

        Args:
            x: features, (batch, channels, W, H).
            width: of the output, at most W * stride.
            height: of the output, at most H * stride.

        Returns:
            (batch, channels, width, height).
        """
        # i, j number the blocks after cutting half a block off: half r of them is half 1 - r of block i + r before.
        # n and o are 1 - a and 1 - b, s is to j what r is to i, and t and u are the pixels of a half
        half = self.stride // 2
        kernel = self.weight.permute(
            0, 2, 3, 1
        )  # or its gradient would not be channels-last, as distributed training asks
        kernel = kernel.to(x.dtype).view(-1, 2, 2, half, 2, 2, half).flip(1, 2, 4, 5)
        pixels = F.pad(x, [1, 1, 1, 1]).unfold(2, 2, 1).unfold(2, 2, 1).unfold(3, 2, 1).unfold(3, 2, 1)
        y = torch.einsum("bcijnros,cnrtosu->bcirtjsu", pixels, kernel)
        return y.flatten(5, 7).flatten(2, 4)[:, :, :width, :height]
