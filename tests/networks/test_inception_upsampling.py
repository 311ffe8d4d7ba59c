from __future__ import annotations

import torch
from torch import nn

from scripts.networks import InceptionUpsampling


def test_doubles_the_size() -> None:
    assert InceptionUpsampling(6, 8)(torch.rand(2, 6, 5, 9)).shape == (2, 8, 10, 18)


def test_has_no_checkerboard() -> None:
    """In a constant image, every output pixel away from the edge gets all terms of a kernel or the same share of it."""
    upsampling = InceptionUpsampling(1, 8).eval()
    for module in upsampling.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.ones_(module.weight)
    inner = upsampling(torch.ones(1, 1, 8, 8))[..., 2:-2, 2:-2]
    assert (inner > 0).all()
    torch.testing.assert_close(inner, inner[..., :1, :1].expand_as(inner))
