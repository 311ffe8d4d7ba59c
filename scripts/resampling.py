"""Images at another pixel size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

__all__ = ["at_pixel_size", "resample", "resample_window", "size_at", "source_range"]


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


def source_range(start: int, stop: int, size: int, new_size: int) -> tuple[int, int]:
    """Tell which pixels along an axis some resampled ones are made of.

    Args:
        start: the first of them.
        stop: the one after the last.
        size: pixels along the axis.
        new_size: resampled pixels along the axis.

    Returns:
        The first pixel, and the one after the last.
    """
    if size == new_size:
        return start, stop
    first, last = (_weights(i, i + 1, size, new_size)[0] for i in (start, stop - 1))
    return int(first.min()), int(last.max()) + 1


def resample_window(
    x: torch.Tensor, origin: Sequence[int], size: Sequence[int], new_size: Sequence[int], window: Sequence[slice]
) -> torch.Tensor:
    """Give a part of what `resample` makes of an image, from a part of the image.

    Args:
        x: (batch, channels, columns, rows), floating point: the part of the image, at least that of `source_range`.
        origin: where it begins.
        size: width and height of the image.
        new_size: width and height that it is brought to.
        window: part of that.

    Returns:
        (batch, channels, columns, rows) of `window`, equal to `resample` but for rounding.
    """
    for axis in (1, 0):  # in PyTorch's order, whose rounding it has
        if size[axis] == new_size[axis]:
            x = x.narrow(2 + axis, window[axis].start - origin[axis], window[axis].stop - window[axis].start)
            continue
        places, weights = _weights(window[axis].start, window[axis].stop, size[axis], new_size[axis])
        places = (places - origin[axis]).clamp_(0, x.shape[2 + axis] - 1)  # beyond it the weights are 0
        places, weights = places.to(x.device), weights.to(x.device, x.dtype)
        weights = weights[..., None] if axis == 0 else weights[:, None]
        total = x.index_select(2 + axis, places[0]) * weights[0]
        for place, weight in zip(places[1:], weights[1:], strict=True):
            total.addcmul_(x.index_select(2 + axis, place), weight)
        x = total
    return x


def _weights(start: int, stop: int, size: int, new_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels that each resampled one is made of, and their weights, both (most of them, resampled pixels)."""
    # each step in the precision that PyTorch takes for it: of wide images their rounding is a thousandth of a pixel
    scale = torch.tensor(size, dtype=torch.float32) / new_size
    reach = scale.clamp(min=1)
    centre = (scale.double() * (torch.arange(start, stop, dtype=torch.float64) + 0.5)).float()
    first = ((centre - reach).double() + 0.5).long().clamp_(min=0)
    places = first + torch.arange(math.ceil(2 * reach) + 1)[:, None]
    distance = (((places - centre).double() + 0.5) * (1 / reach).double()).float()
    weights = (1 - distance.abs()).clamp_(min=0) * (places < size)
    return places.clamp_(max=size - 1), weights / sum(weights)
