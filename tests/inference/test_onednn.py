from __future__ import annotations

import pytest
import torch
from torch import nn

from scripts.inference import fuse_conv_bn
from scripts.inference.onednn import fuse_activations
from scripts.networks import FusionFCN


@pytest.fixture(scope="module")
def network() -> FusionFCN:
    """A network that has seen pictures, so that nothing in it is 0 or 1 by chance."""
    torch.manual_seed(0)
    network = FusionFCN(width=0.125)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        network(torch.rand(4, 1, 64, 64))
    return network.eval()


@torch.inference_mode()
@pytest.mark.parametrize("amp", [False, True])
def test_scores_stay(network: FusionFCN, amp: bool) -> None:
    folded, fused = fuse_conv_bn(network), fuse_conv_bn(network)
    fuse_activations(fused)
    kinds = [type(module).__name__ for module in fused.modules()]
    assert kinds.count("_Bottleneck") == 16
    assert "ResNetBottleneck" not in kinds
    assert kinds.count("ReLU") == 1 + 9  # of the stem, and after the deconvolutions
    for shape in ((4, 1, 64, 64), (1, 1, 97, 70), (2, 1, 128, 64)):
        images = torch.rand(shape)
        with torch.autocast("cpu", enabled=amp):
            before, after = folded(images).float(), fused(images).float()
        torch.testing.assert_close(after, before, rtol=0.05 if amp else 1e-4, atol=0.05 if amp else 1e-4)


@torch.inference_mode()
def test_precisions_take_turns(network: FusionFCN) -> None:
    fused = fuse_conv_bn(network)
    fuse_activations(fused)
    images = torch.rand(1, 1, 64, 64)
    exact = fused(images)
    with torch.autocast("cpu"):
        rounded = fused(images)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.1, atol=0.1)
    torch.testing.assert_close(fused(images), exact)


@torch.inference_mode()
def test_what_is_no_convolution_before_a_rectifier_stays() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.Sigmoid(), nn.Conv2d(4, 4, 3), nn.Identity(), nn.ReLU(), nn.Conv2d(4, 2, 1)]
    network = nn.Sequential(*layers)
    images = torch.rand(2, 1, 12, 9)
    before = network(images)
    fuse_activations(network)
    assert [type(layer).__name__ for layer in network] == [
        *("Conv2d", "Sigmoid", "_Convolution", "Identity", "Identity", "Conv2d")
    ]
    torch.testing.assert_close(network(images), before)


def test_nothing_changes_where_torch_lacks_the_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        """Stands in for `torch.ops.mkldnn`."""

    monkeypatch.setattr(torch.ops, "mkldnn", Without())
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    fuse_activations(network)
    assert [type(layer) for layer in network] == [nn.Conv2d, nn.ReLU]
