from __future__ import annotations

import torch
from torch import nn

from scripts.inferers import SectionInferer
from scripts.networks import FusionFCN


def test_same_scores_without_normalisation() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2))
    network(torch.rand(8, 1, 9, 9))  # running statistics that are not the initial ones
    network.eval()
    seen = []
    network[1].register_forward_hook(lambda module, *_: seen.append(module))
    inferer, section = SectionInferer(roi_size=20), torch.rand(1, 1, 20, 20)  # one window
    scores = inferer(section, network)
    kinds = {type(module) for module in seen}
    assert nn.BatchNorm2d not in kinds
    torch.testing.assert_close(scores, network(section), rtol=1e-4, atol=1e-5)
    assert isinstance(network[1], nn.BatchNorm2d)


def test_other_weights_are_noticed() -> None:
    network = nn.Conv2d(1, 1, 1).eval()
    inferer, section = SectionInferer(roi_size=8), torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        first = inferer(section, network)
        network.load_state_dict({"weight": torch.ones(1, 1, 1, 1), "bias": torch.ones(1)})
        torch.testing.assert_close(inferer(section, network), section + 1)
    assert not torch.allclose(first, section + 1)


@torch.no_grad()
def test_training_mode_means_dropout_with_running_statistics() -> None:
    torch.manual_seed(0)
    section = torch.rand(1, 1, 64, 64)
    certain = FusionFCN(width=0.125).train()
    inferer = SectionInferer(roi_size=64)
    torch.testing.assert_close(inferer(section, certain), SectionInferer(roi_size=64)(section, certain.eval()))
    unsure = FusionFCN(width=0.125, dropout=0.5).train()
    assert not torch.allclose(inferer(section, unsure), inferer(section, unsure))
