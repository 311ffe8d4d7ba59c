from __future__ import annotations

import math

import pytest
import torch

from scripts.networks import FusionFCN, UNet
from scripts.networks.rescaling import downsample, upsample


def test_shrink_averages_blocks() -> None:
    x = torch.arange(25.0).reshape(1, 1, 5, 5)
    expected = torch.tensor([[3.0, 5.0, 6.5], [13.0, 15.0, 16.5], [20.5, 22.5, 24.0]])
    torch.testing.assert_close(downsample(x, 2)[0, 0], expected)


def test_enlarge_puts_things_back_where_they_were() -> None:
    """A ramp survives, away from the edges: nothing is shifted by half a pixel."""
    ramp = (torch.arange(24.0)[:, None] + 10 * torch.arange(30.0))[None, None]
    there_and_back = upsample(downsample(ramp, 2), 2, like=ramp)
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(there_and_back[inside], ramp[inside])


@pytest.mark.parametrize("network", [FusionFCN, UNet])
def test_a_network_sees_and_scores_shrunken_images(network: type) -> None:
    torch.manual_seed(0)
    half, full = network(width=0.125, downsampling=2).eval(), network(width=0.125).eval()
    full.load_state_dict(half.state_dict())
    x = torch.rand(1, 1, 129, 160)
    with torch.no_grad():
        scores = half(x)
        torch.testing.assert_close(scores, upsample(full(downsample(x, 2)), 2, like=x))
        assert scores.shape == (1, 2, 129, 160)
        torch.testing.assert_close(torch.jit.script(half)(x), scores)


@pytest.mark.parametrize("network", [FusionFCN, UNet])
@pytest.mark.parametrize(
    "arguments", [{"downsampling": 0}, {"downsampling": 1.5}, {"width": 0}, {"width": math.inf}, {"dropout": 1}]
)
def test_arguments_out_of_range(network: type, arguments: dict) -> None:
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} must be .* but got {arguments[name]}"):
        network(**arguments)


def test_the_smallest_image_grows_with_the_factor() -> None:
    network = FusionFCN(width=0.125, downsampling=2)
    with pytest.raises(ValueError, match=r"at least 128 pixels a side, but is \[127, 128\]"):
        network(torch.zeros(1, 1, 127, 128))
