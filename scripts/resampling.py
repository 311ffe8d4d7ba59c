"""Images at another pixel size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

__all__ = ["at_pixel_size", "resample", "size_at"]


def size_at(shape: Sequence[int], pixel_size: Sequence[float], new_pixel_size: float) -> tuple[int, int]:
    """Give the size of an image at another pixel size.

    Args:
        shape: width and height in pixels.
        pixel_size: of it, (x, y).
        new_pixel_size: in the same unit; pixels become square.

    Returns:
        Width and height in pixels, at least 1.
    """
    width, height = (
        max(1, round(length * size / new_pixel_size)) for length, size in zip(shape, pixel_size, strict=True)
    )
    return width, height


def at_pixel_size(x: torch.Tensor, pixel_size: Sequence[float], new_pixel_size: float) -> torch.Tensor:
    """Bring images to another pixel size, as a network wants them.

    Args:
        x: (batch, channels, width, height), floating point.
        pixel_size: of them, (x, y).
        new_pixel_size: in the same unit; pixels become square.

    Returns:
        (batch, channels, new width, new height); see `size_at` and `resample`.
    """
    return resample(x, size_at(x.shape[2:], pixel_size, new_pixel_size))


def resample(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bring images to another size: averaged by a triangular filter where they shrink, linear where they grow.

    Args:
        x: (batch, channels, width, height), floating point; of bfloat16 and float16 too.
        size: new width and height.

    Returns:
        (batch, channels, *size); `x` itself where the size stays.
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    dtype = x.dtype
    if x.device.type == "cpu" and dtype in (torch.bfloat16, torch.float16):
        x = x.float()
    # without the filter, every n-th pixel of a fine section would stand for all, with its noise
    x = F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)
    return x.to(dtype)
