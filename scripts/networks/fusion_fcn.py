"""The fusion fully convolutional network for mitochondria."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from .arguments import check_arguments
from .inception_upsampling import InceptionUpsampling
from .pretrained import load_pretrained
from .pyramid_pooling import PyramidPooling
from .rescaling import downsample, upsample
from .resnet import DilatedResNet50

# of ImageNet, by number of channels
_MEAN = {1: [0.449], 3: [0.485, 0.456, 0.406]}
_STD = {1: [0.226], 3: [0.229, 0.224, 0.225]}


class FusionFCN(nn.Module):
    """Fusion FCN, section 2.2.1 and Figures 1 and 2 of the paper: it scores each pixel as background or mitochondrion.

    A dilated ResNet-50 (`resnet.py`), pyramid pooling (`pyramid_pooling.py`) and inception-like upsampling by
    deconvolutions (`inception_upsampling.py`), with skip connections from the early, high-resolution stages. The
    network returns logits; the softmax of Figure 1 belongs to postprocessing.

    The paper leaves open, and is chosen here:
        - Residual block 1 downsamples by the max pooling of 3x3 and stride 2 that opens it, where the paper's text
          speaks of a convolution: so the weights of a published ResNet-50 fit, and the output has 1/8 of the size.
        - The 2048 channels of the encoder are reduced to 512 before the pyramid: pooling, concatenating and upsampling
          2048 channels would cost more time than they are worth.
        - The sizes of the pooling windows: 64, 128, 256 and 512 pixels of the image. Their deconvolutions are
          depthwise.
        - The skip connections: residual block 1 at 1/4, reduced to 64 channels, and the stem at 1/2 of the input's
          size, concatenated with the upsampled features.
        - The widths of the three upsampling steps, 128, 64 and 32, the deconvolutions in each, and a last 3x3
          convolution that gives the scores.
        - New layers start as PyTorch initialises them (uniform, after He et al. 2015), the deconvolutions of the
          pyramid as bilinear interpolation.
        - Dropout takes out whole channels before the last convolution: neighbouring pixels are too alike for dropping
          single ones to have an effect, and no batch normalisation, whose statistics it would change, comes after it.

    The input is any grey or RGB image in [0, 1] of at least 64 pixels a side (times `downsampling`). It is standardised
    inside the network by the mean and standard deviation of ImageNet, which torchvision's weights expect; those of
    CEM500K were trained with others (about 0.58 and 0.10), to which the batch normalisations have to adapt in training.
    All weights are kept in channels-last order, in which convolutions are faster. Inference runs eagerly, with the
    batch normalisations folded into the convolutions (`fuse_conv_bn`), faster again.

    Args:
        in_channels: 1 for grey, 3 for RGB images.
        out_channels: number of classes.
        width: factor on the number of channels of every layer, for quick starts: 0.25 needs a sixteenth of the
            operations. No layer gets fewer than 8 channels, each level of the pyramid a quarter of its input's.
            Pretrained weights need 1.
        dropout: probability in [0, 1) of dropping a channel before the last layer, in training and for epistemic
            uncertainty.
        downsampling: factor by which images are shrunk before the first layer and logits enlarged after the last: with
            2, four times the tissue is seen at the same cost and memory, and borders lie between every second pixel.
        encoder_weights: weights of the encoder: "imagenet", the path of a checkpoint, or None for random weights. See
            `load_pretrained`.

    Raises:
        ValueError: if an argument is out of its range, or if a checkpoint does not fit.
        FileNotFoundError: if there is no checkpoint at the given path.
        ConnectionError: if the ImageNet weights have to be downloaded and cannot be.
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
        if in_channels not in _MEAN:
            raise ValueError(f"in_channels must be 1 (grey) or 3 (RGB), but got {in_channels}.")
        if out_channels < 1:
            raise ValueError(f"out_channels must be at least 1, but got {out_channels}.")
        check_arguments(width, dropout, downsampling)
        if encoder_weights is not None and width != 1:
            raise ValueError(f"encoder_weights need a width of 1, but got {width}.")

        def scaled(channels: int) -> int:
            return max(8, 4 * round(width * channels / 4))

        self.downsampling = downsampling
        self.min_size = 64 * downsampling
        self.mean, self.std = _MEAN[in_channels], _STD[in_channels]
        stem, *blocks = [scaled(channels) for channels in (64, 64, 128, 256, 512)]
        context, skip, up4, up2, up1 = [scaled(channels) for channels in (512, 64, 128, 64, 32)]

        self.encoder = DilatedResNet50(in_channels, (stem, *blocks))
        self.reduction = _conv1x1(4 * blocks[3], context)
        self.pyramid = PyramidPooling(context)
        self.upsampling4 = InceptionUpsampling(self.pyramid.out_channels, up4)
        self.skip4 = _conv1x1(4 * blocks[0], skip)
        self.upsampling2 = InceptionUpsampling(up4 + skip, up2)
        self.dropout = nn.Dropout2d(dropout)
        self.upsampling1 = InceptionUpsampling(up2 + stem, up1)
        self.classifier = nn.Conv2d(up1, out_channels, kernel_size=3, padding=1)

        if encoder_weights is not None:
            load_pretrained(self.encoder, encoder_weights)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score each pixel.

        Args:
            x: images, (batch, in_channels, W, H), values in [0, 1], W and H at least 64 times
                `downsampling` and of any parity.

        Returns:
            Logits, (batch, out_channels, W, H).

        Raises:
            ValueError: if W or H is less than that.
        """
        if x.shape[2] < self.min_size or x.shape[3] < self.min_size:
            raise ValueError(f"the input must have at least {self.min_size} pixels a side, but is {list(x.shape[2:])}.")

        image = downsample(self.standardise(x), self.downsampling)
        stem, block1, block4 = self.encoder(image)  # 1/2, 1/4 and 1/8 of the input's size
        y = self.pyramid(self.reduction(block4))

        y = _crop(self.upsampling4(y), block1)
        y = torch.cat([y, self.skip4(block1)], dim=1)

        y = _crop(self.upsampling2(y), stem)
        y = torch.cat([y, stem], dim=1)

        y = _crop(self.upsampling1(y), image)
        return upsample(self.classifier(self.dropout(y)), self.downsampling, like=x)

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        """Bring images in [0, 1], (batch, in_channels, W, H), to the scale of the pretrained weights."""
        mean = torch.tensor(self.mean, dtype=x.dtype, device=x.device)
        std = torch.tensor(self.std, dtype=x.dtype, device=x.device)
        return (x - mean[:, None, None]) / std[:, None, None]


def _conv1x1(in_channels: int, out_channels: int) -> nn.Sequential:
    """Reduce the number of channels."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _crop(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Drop what upsampling gave beyond an odd size."""
    return x[:, :, : like.shape[2], : like.shape[3]]
