from __future__ import annotations

import pytest
import torch

from scripts.inference import fuse_conv_bn
from scripts.networks import Ensemble


@pytest.fixture
def network() -> Ensemble:
    torch.manual_seed(0)
    return Ensemble(width=0.125, dropout=0.1).eval()


def test_its_probabilities_are_the_mean_of_both(network: Ensemble) -> None:
    image = torch.rand(2, 1, 64, 80)
    with torch.no_grad():
        both = [member(image).softmax(dim=1) for member in (network.fusion_fcn, network.unet)]
        logits = network(image)
    assert logits.shape == (2, 2, 64, 80)
    torch.testing.assert_close(logits.softmax(dim=1), (both[0] + both[1]) / 2)
    assert not torch.allclose(both[0], both[1], atol=0.01)


def test_the_unet_has_half_the_width() -> None:
    with torch.no_grad():
        channels = Ensemble(width=0.5).unet.unet.conv_0.conv_0.conv(torch.rand(1, 1, 32, 32)).shape[1]
    assert channels == 16  # a quarter of 64


def test_what_both_are_certain_of_stays_finite(network: Ensemble) -> None:
    """Half precision has no room for the probability of what is ruled out."""
    for layer in (network.fusion_fcn.classifier, network.unet.unet.final_conv[1]):
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data = torch.tensor([200.0, -200.0])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.rand(1, 1, 64, 64))
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], torch.full((1, 64, 64), -400.0))


def test_it_learns_in_both_networks(network: Ensemble) -> None:
    network.train()
    network(torch.rand(2, 1, 64, 64))[:, 1].mean().backward()
    for member in (network.fusion_fcn, network.unet):
        assert all(parameter.grad.abs().sum() > 0 for parameter in list(member.parameters())[-2:])


def test_folded_it_scores_the_same(network: Ensemble) -> None:
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(fuse_conv_bn(network)(image), network(image), atol=1e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_scores_the_same(network: Ensemble) -> None:
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image))
