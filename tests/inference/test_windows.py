"""Scores of a part of a section: those of the whole section."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from scripts.inference import ProbabilityInferer, SlidingWindowInferer, score_window
from scripts.networks import UNet

SHAPE = (310, 243)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    network = UNet(in_channels=1, out_channels=2, width=0.125).eval()
    with torch.no_grad():
        [*network.parameters()][-2].mul_(30)  # random weights say nearly the same everywhere
    return network


@pytest.mark.slow
@pytest.mark.parametrize("pixel_size", [None, (10.0, 10.0), (4.7, 6.1), (14.0, 14.0)])
@pytest.mark.parametrize(
    "window",
    [
        (slice(0, 310), slice(0, 243)),
        (slice(0, 60), slice(0, 50)),
        (slice(130, 190), slice(77, 130)),
        (slice(300, 310), slice(200, 243)),
    ],
)
@pytest.mark.parametrize("augmented", [False, True])
def test_a_part_is_scored_as_in_the_whole(
    network: nn.Module, pixel_size: tuple[float, float] | None, window: tuple[slice, slice], augmented: bool
) -> None:
    views = {"scales": (0.8, 1.0), "flips": ((), (3,), (2, 3))} if augmented else {}
    sliding = SlidingWindowInferer(64, 4, 0.3, "gaussian", padding_mode="replicate")
    inferer = ProbabilityInferer(sliding, 10.0, **views)
    section = torch.rand(1, 1, *SHAPE, generator=torch.Generator().manual_seed(1))
    seen = []

    def read(part: tuple[slice, slice]) -> torch.Tensor:
        seen.append(part)
        assert all(0 <= side.start < side.stop <= length for side, length in zip(part, SHAPE, strict=True))
        return section[(slice(None), slice(None), *part)]

    with torch.inference_mode():
        meta = {} if pixel_size is None else {"pixel_size": pixel_size}
        whole = inferer(MetaTensor(section, meta=meta), network).as_tensor()
        found = score_window(inferer, network, read, SHAPE, pixel_size, window)
    torch.testing.assert_close(found, whole[(slice(None), slice(None), *window)], atol=5e-6, rtol=0)
    assert whole.std() > 1e-3
    if window[0].stop == 60 and pixel_size == (4.7, 6.1) and not augmented:
        assert max(side.stop - side.start for part in seen for side in part) < 200, "no more is read than is needed"
