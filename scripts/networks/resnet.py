"""Dilated ResNet-50: the encoder of the Fusion FCN."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets.resnet import ResNet, ResNetBottleneck
from torch import nn


class DilatedResNet50(ResNet):
    """ResNet-50 whose last two residual blocks are dilated, so that its output is 1/8 of the input.

    MONAI's ResNet-50 with the parameter names and shapes of torchvision's, so that published weights fit as they are.
    Its four residual blocks are called `layer1` to `layer4` there. Blocks 1 and 2 downsample: block 1 by the 3x3 max
    pooling of stride 2 that opens it (He et al. 2016, Table 1, row conv2_x), block 2 by a 3x3 convolution of stride 2.
    In blocks 3 and 4 each stride of 2 gives way to a dilation of all later 3x3 convolutions (Yu and Koltun 2016): every
    fourth pixel of the output is, number for number, the output of the ResNet-50 that has the strides.

    Random weights start with residual branches of zero (Goyal et al. 2017), so close to a short network: with few
    images the encoder then learns far faster.

    Args:
        in_channels: channels of the input.
        channels: channels of the stem, and of the 3x3 convolutions in each of the four residual blocks, whose outputs
            have four times as many. The first two are the same number.

    Raises:
        ValueError: if `channels` is not five numbers, or if the first two differ.
    """

    def __init__(self, in_channels: int, channels: Sequence[int] = (64, 64, 128, 256, 512)) -> None:
        if len(channels) != 5 or channels[0] != channels[1]:
            raise ValueError(f"channels must be five numbers, the first two the same, but got {tuple(channels)}.")
        super().__init__(
            block=ResNetBottleneck,
            layers=[3, 4, 6, 3],
            block_inplanes=list(channels[1:]),
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        for module in self.modules():
            if isinstance(module, ResNetBottleneck):
                nn.init.zeros_(module.bn3.weight)
        _dilate(self.layer3, dilation=1)
        _dilate(self.layer4, dilation=2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Extract features.

        Args:
            x: image, (batch, in_channels, W, H).

        Returns:
            The features of the stem at 1/2, of residual block 1 at 1/4, and of residual block 4 at 1/8 of the input's
            size, each rounded up.
        """
        stem = self.act(self.bn1(self.conv1(x)))
        block1 = self.layer1(self.maxpool(stem))
        block4 = self.layer4(self.layer3(self.layer2(block1)))
        return stem, block1, block4


def _dilate(block: nn.Sequential, dilation: int) -> None:
    """Take the stride of 2 out of a residual block; `dilation` is what the strides before it have become."""
    for i, bottleneck in enumerate(block):
        # the first 3x3 convolution still reads the grid of the block before; what follows would have read every second
        rate = dilation if i == 0 else 2 * dilation
        bottleneck.conv2.dilation = bottleneck.conv2.padding = (rate, rate)
        for layer in bottleneck.modules():
            if isinstance(layer, nn.Conv2d):
                layer.stride = (1, 1)
