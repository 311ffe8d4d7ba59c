from __future__ import annotations

from itertools import product

import pytest
import torch
from torch.nn import functional as F

from scripts.networks import PyramidPooling


def test_reduces_each_of_four_levels_to_a_quarter() -> None:
    pyramid = PyramidPooling(16)
    assert len(pyramid.levels) == 4
    assert all(level.reduce.weight.shape == (4, 16, 1, 1) for level in pyramid.levels)
    assert pyramid.out_channels == 32


@pytest.mark.parametrize("size", [(8, 8), (13, 17), (64, 65)])
@torch.inference_mode()
def test_averages_only_what_is_inside(size: tuple[int, int]) -> None:
    pyramid = PyramidPooling(4)
    x = torch.rand(2, 4, *size)
    pooled = []
    for level in pyramid.levels:
        level.reduce.register_forward_pre_hook(lambda _module, args: pooled.append(args[0]))
    y = pyramid(x)
    assert y.shape == (2, 8, *size)
    torch.testing.assert_close(y[:, :4], x)
    for level, averages in zip(pyramid.levels, pooled, strict=True):
        window = level.window
        for i, j in product(range(averages.shape[2]), range(averages.shape[3])):
            inside = x[:, :, i * window : (i + 1) * window, j * window : (j + 1) * window]
            torch.testing.assert_close(averages[:, :, i, j], inside.mean((2, 3)))


@torch.inference_mode()
def test_deconvolution_starts_as_bilinear_interpolation() -> None:
    level = PyramidPooling(4, windows=(8,)).levels[0]
    context = torch.rand(1, 1, 4, 5)
    expected = F.interpolate(context, scale_factor=8, mode="bilinear", align_corners=False)
    # at the edge, interpolation extends the image while deconvolution has nothing to add
    inner = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(level.deconvolution(context)[inner], expected[inner])
