from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn
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
    torch.testing.assert_close(level.deconvolution(context, 32, 40)[inner], expected[inner])


@pytest.mark.parametrize("window", [2, 8, 64])
@pytest.mark.parametrize("size", [(3, 5), (1, 64), (64, 65), (130, 100)])
def test_deconvolution_is_that_of_torch(size: tuple[int, int], window: int) -> None:
    torch.manual_seed(0)
    level = PyramidPooling(12, windows=(window,)).levels[0]
    ours = level.deconvolution
    reference = nn.ConvTranspose2d(3, 3, 2 * window, stride=window, padding=window // 2, groups=3, bias=False)
    ours.load_state_dict(reference.state_dict())  # of the same names and shapes
    x = torch.rand(2, 3, *(-(-length // window) for length in size))
    gradient = torch.rand(2, 3, *size)
    results = []
    for deconvolve in (lambda x: ours(x, *size), lambda x: reference(x)[:, :, : size[0], : size[1]]):
        leaf = x.clone().requires_grad_()
        y = deconvolve(leaf)
        y.backward(gradient)
        results.append((y.detach(), leaf.grad))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.weight.grad, reference.weight.grad, rtol=1e-5, atol=1e-6)


def test_deconvolution_in_bfloat16() -> None:
    torch.manual_seed(0)
    pyramid, x = PyramidPooling(16), torch.rand(2, 16, 20, 33)
    expected = pyramid(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = pyramid(x)
        assert pyramid.levels[0](x).dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)
    y.float().sum().backward()
    assert all(level.deconvolution.weight.grad.dtype == torch.float32 for level in pyramid.levels)


@torch.inference_mode()
def test_weights_of_earlier_versions_fit() -> None:
    pyramid = PyramidPooling(16)
    shapes = {key: tuple(value.shape) for key, value in pyramid.state_dict().items()}
    for i, window in enumerate((8, 16, 32, 64)):
        assert shapes.pop(f"levels.{i}.reduce.weight") == (4, 16, 1, 1)
        assert shapes.pop(f"levels.{i}.reduce.bias") == (4,)
        assert shapes.pop(f"levels.{i}.deconvolution.weight") == (4, 1, 2 * window, 2 * window)
    assert not shapes


@pytest.mark.parametrize("amp", [False, True])
def test_gradients_are_laid_out_as_distributed_training_asks(amp: bool) -> None:
    pyramid = PyramidPooling(16).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", enabled=amp):
        y = pyramid(torch.rand(2, 16, 20, 33))
    y.float().sum().backward()
    for level in pyramid.levels:
        weight = level.deconvolution.weight
        assert weight.grad.stride() == weight.stride()
