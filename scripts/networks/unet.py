"""The U-Net, baseline of the paper."""

from __future__ import annotations

import torch
from monai.networks.nets import BasicUNet
from torch import nn

from .arguments import check_arguments
from .rescaling import downsample, upsample


class UNet(nn.Module):
    """U-Net after Ronneberger et al. 2015: MONAI's BasicUNet, with batch normalisation as in the Fusion FCN.

    Args:
        in_channels: channels of the images.
        out_channels: number of classes.
        width: factor on the numbers of channels, which are 64, 128, 256, 512 and 1024 at width 1.
        dropout: probability in [0, 1) of dropping a channel before the last layer, in training and for epistemic
            uncertainty. MONAI's own drops values after every convolution, before batch normalisations, whose statistics
            of training then do not hold in evaluation.
        downsampling: factor by which images are shrunk before the first layer and logits enlarged after the last.
        encoder_weights: None; there are no pretrained encoders as for the Fusion FCN, whose arguments these are.

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
        encoder_weights: None = None,
    ) -> None:
        if encoder_weights is not None:
            raise ValueError(
                f"encoder_weights must be None: it is for the Fusion FCN only, but got {encoder_weights!r}"
            )
        check_arguments(width, dropout, downsampling)
        super().__init__()
        self.unet = BasicUNet(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=out_channels,
            features=[max(1, round(width * channels)) for channels in (64, 128, 256, 512, 1024, 64)],
            act="relu",
            norm="batch",
        )
        self.unet.final_conv = nn.Sequential(nn.Dropout2d(dropout), self.unet.final_conv)
        self.downsampling = downsampling
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score each pixel.

        Args:
            x: images, (batch, in_channels, W, H), values in [0, 1], W and H at least 16 times `downsampling`.

        Returns:
            Logits, (batch, out_channels, W, H).
        """
        return upsample(self.unet(downsample(x, self.downsampling)), self.downsampling, like=x)
