from __future__ import annotations

import torch
from monai.networks.nets import BasicUNet

from scripts.networks import UNet


def test_it_is_monais_network_of_ronnebergers_size() -> None:
    torch.manual_seed(0)
    network = UNet(dropout=0.3).eval()
    # 31.0 million in the paper's layout
    assert abs(sum(p.numel() for p in network.parameters()) / 31.0e6 - 1) < 0.02
    assert isinstance(network.unet, BasicUNet)
    assert network(torch.rand(1, 1, 33, 47)).shape == (1, 2, 33, 47)


def test_dropout_takes_out_channels_before_the_last_layer_only() -> None:
    """Batch normalisation must not see it: in training mode its statistics are the same with and without dropout."""
    torch.manual_seed(0)
    networks = [UNet(width=0.125, dropout=dropout).train() for dropout in (0.0, 0.9)]
    networks[1].load_state_dict(networks[0].state_dict())
    image = torch.rand(2, 1, 32, 32)
    outputs = [network(image) for network in networks]
    assert not torch.allclose(*outputs)
    for one, other in zip(*(network.buffers() for network in networks), strict=True):
        torch.testing.assert_close(one, other)
