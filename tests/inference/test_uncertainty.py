from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scripts.inference import dropout_uncertainty
from scripts.networks import FusionFCN, UNet

SURE, UNDECIDED, CONTRADICTORY = ([20.0, 0], [0.0, 0]), ([0.0, 0], [0.0, 0]), ([20.0, 0], [-20.0, 0])


class Votes(nn.Module):
    """Two channels vote; dropout leaves both, one, or none of them."""

    def __init__(self, votes: tuple) -> None:
        super().__init__()
        self.register_buffer("votes", torch.tensor(votes))
        self.dropout = nn.Dropout2d(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channels = self.dropout(torch.ones(1, 2, 1, 1).expand(len(x), 2, *x.shape[2:]))
        return torch.einsum("bvxy,vc->bcxy", channels, self.votes)


def test_contradiction_counts_and_indecision_does_not() -> None:
    section = torch.rand(1, 20, 30)
    uncertainty = {
        name: dropout_uncertainty(Votes(votes), section, samples=200)
        for name, votes in (("sure", SURE), ("undecided", UNDECIDED), ("contradictory", CONTRADICTORY))
    }
    assert uncertainty["undecided"] == pytest.approx(0, abs=1e-6)
    # a quarter each: for, against, and two that are undecided: entropy ln 2 of the mean, less half of it in the samples
    assert uncertainty["contradictory"] == pytest.approx(math.log(2) / 2, rel=0.15)
    # one vote only: in half of the samples for, else undecided: mean 3/4
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) - math.log(2) / 2
    assert uncertainty["sure"] == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("kind", [FusionFCN, UNet])
def test_networks_of_the_bundle(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = kind(width=0.125, dropout=0.3)
    section = torch.rand(1, 96, 130, generator=torch.Generator().manual_seed(0))
    state = torch.random.get_rng_state()
    score = dropout_uncertainty(network, section, samples=3)
    assert 0 < score < math.log(2)
    assert dropout_uncertainty(network, section, samples=3) == score  # the same dropout for all sections
    assert torch.equal(torch.random.get_rng_state(), state)
    assert network.training
    assert isinstance(network, FusionFCN | UNet)


def test_large_sections_are_judged_by_patches_all_over_them() -> None:
    class Place(Votes):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * x[:1, :1]  # where the section is 0, all samples agree

    section = torch.zeros(1, 64, 640)
    section[..., 320:] = 1
    whole = dropout_uncertainty(Place(CONTRADICTORY), section, samples=200, patch_size=64, max_patches=10)
    some = dropout_uncertainty(Place(CONTRADICTORY), section, samples=200, patch_size=64, max_patches=4)
    assert some == pytest.approx(whole, rel=0.15)
    assert whole == pytest.approx(math.log(2) / 4, rel=0.15)


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (Votes(SURE), {"samples": 1}, "samples must be at least 2 and max_patches 1, but got 1 and 16"),
        (Votes(SURE), {"max_patches": 0}, "got 20 and 0"),
        (Votes(SURE), {"dropout": 1.0}, "dropout must be between 0 and 1, but got 1.0"),
        (nn.Conv2d(1, 2, 1), {}, "Conv2d has 0 layers of dropout, epistemic uncertainty needs one"),
        (nn.Sequential(Votes(SURE), Votes(SURE)), {}, "Sequential has 2 layers of dropout"),
    ],
)
def test_bad_arguments(network: nn.Module, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dropout_uncertainty(network, torch.rand(1, 8, 8), **arguments)
