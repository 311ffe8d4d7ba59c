"""Networks at a coarser resolution than their images."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def downsample(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Average blocks of factor x factor pixels; blocks that an odd size cuts off at the far edges are smaller.

    Args:
        x: images, (batch, channels, W, H).
        factor: number of pixels, at least 1.

    Returns:
        (batch, channels, ceil(W / factor), ceil(H / factor)).
    """
    if factor == 1:
        return x
    return F.avg_pool2d(x, factor, ceil_mode=True)


def upsample(x: torch.Tensor, factor: int, like: torch.Tensor) -> torch.Tensor:
    """Bring logits back to the size of the image that was shrunk, by bilinear interpolation between block centres.

    Args:
        x: logits, (batch, classes, ceil(W / factor), ceil(H / factor)).
        factor: that of `downsample`.
        like: tensor whose last two axes have the sizes W and H.

    Returns:
        (batch, classes, W, H).
    """
    if factor == 1:
        return x
    x = F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return x[:, :, : like.shape[2], : like.shape[3]]
