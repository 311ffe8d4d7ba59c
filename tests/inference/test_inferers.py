from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.transforms import HistogramNormalize
from torch import nn

from bundle.runs import ROOT, load_network
from scripts.inference import ProbabilityInferer, SectionInferer, SimpleInferer, SlidingWindowInferer
from scripts.io import load_sections, read_section
from scripts.networks import FusionFCN
from scripts.resampling import at_pixel_size, resample


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


class Grey(nn.Module):
    """Finds each pixel as probable as it is bright, and remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape[2:]))
        return torch.cat([torch.log1p(-x), torch.log(x)], dim=1)


def ramp() -> torch.Tensor:
    x, y = torch.linspace(0.2, 0.8, 80)[:, None], torch.linspace(0.2, 0.8, 60)
    return ((x + y) / 2)[None, None]


@pytest.mark.parametrize(
    ("pixel_size", "seen"), [([5, 5], (40, 30)), ([2, 2], (16, 12)), ([10, 10], (80, 60)), ([5, 10], (40, 60))]
)
def test_a_network_sees_its_own_pixel_size_and_scores_come_back(pixel_size: list, seen: tuple) -> None:
    section, network = ramp(), Grey()
    inferer = ProbabilityInferer(SimpleInferer(), pixel_size=10)
    scores = inferer(MetaTensor(section, meta={"pixel_size": np.array(pixel_size)}), network)
    assert network.seen == [seen]
    assert scores.shape == (1, 1, 80, 60)
    torch.testing.assert_close(scores.as_tensor(), section, atol=0.05, rtol=0)


def test_views_are_undone_and_averaged() -> None:
    section, network = ramp(), Grey()
    views = {"scales": (0.5, 1, 1.5), "flips": [[], [2], [2, 3]]}
    scores = ProbabilityInferer(SimpleInferer(), pixel_size=10, **views)(section, network)
    assert network.seen == [(40, 30)] * 3 + [(80, 60)] * 3 + [(120, 90)] * 3
    torch.testing.assert_close(scores, section, atol=0.05, rtol=0)


def test_resampled_log_odds_are_the_resampled_logits() -> None:
    """What was done before took twice the memory: both logits were brought back, and their softmax taken."""
    torch.manual_seed(0)
    section, network = torch.rand(1, 1, 60, 44), nn.Conv2d(1, 2, 5, padding=2)
    inferer = ProbabilityInferer(SimpleInferer(), pixel_size=10)
    with torch.inference_mode():
        scores = inferer(MetaTensor(section, meta={"pixel_size": np.array([4.0, 5.0])}), network)
        logits = resample(network(at_pixel_size(section, (4, 5), 10)), (60, 44))
    torch.testing.assert_close(scores.as_tensor(), logits.softmax(dim=1)[:, 1:], rtol=0, atol=1e-6)


class Left(nn.Module):
    """Is sure of the first half of what it sees, and of nothing else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        odds = torch.full_like(x, -20)
        odds[:, :, : x.shape[2] // 2] = 20
        return torch.cat([-odds / 2, odds / 2], dim=1)


def test_probabilities_of_views_are_averaged_and_not_their_logits() -> None:
    inferer = ProbabilityInferer(SimpleInferer(), pixel_size=10, flips=[[], [3], [2]])
    scores = inferer(torch.zeros(1, 1, 8, 6), Left())
    torch.testing.assert_close(scores[0, 0, :4], torch.full((4, 6), 2 / 3))
    torch.testing.assert_close(scores[0, 0, 4:], torch.full((4, 6), 1 / 3))


@pytest.mark.parametrize("wrong", [{"scales": ()}, {"scales": (0, 1)}, {"flips": ()}])
def test_there_must_be_views(wrong: dict) -> None:
    with pytest.raises(ValueError, match="factors above 0, but got"):
        ProbabilityInferer(SimpleInferer(), pixel_size=10, **wrong)


def test_there_must_be_two_classes() -> None:
    with pytest.raises(ValueError, match="two classes, but got 3"):
        ProbabilityInferer(SimpleInferer(), pixel_size=10)(torch.rand(1, 1, 9, 9), nn.Conv2d(1, 3, 1))


def test_a_batch_and_sections_of_unknown_pixel_size() -> None:
    network, inferer = Grey(), ProbabilityInferer(SimpleInferer(), pixel_size=10)
    items = [{"image": MetaTensor(torch.rand(1, 20, 20), meta={"pixel_size": np.array([5.0, 5.0])})}] * 2
    assert inferer(list_data_collate(items)["image"], network).shape == (2, 1, 20, 20)
    assert network.seen == [(10, 10)]
    inferer(torch.rand(1, 1, 20, 20), network)
    assert network.seen[1:] == [(20, 20)]


@pytest.mark.parametrize("inferer", [SimpleInferer, SlidingWindowInferer, SectionInferer])
def test_mixed_precision_gives_float32_logits(inferer: type) -> None:
    torch.manual_seed(0)
    settings = {} if inferer is SimpleInferer else {"roi_size": 16, "overlap": 0.5, "mode": "gaussian"}
    network, images = nn.Conv2d(1, 2, 3, padding=1).eval(), torch.rand(2, 1, 24, 24)
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda _module, _inputs, y: seen.append(y.dtype))
    try:
        exact, rounded = (inferer(amp=amp, **settings)(images, network) for amp in (False, True))
    finally:
        handle.remove()
    assert set(seen[: len(seen) // 2]) == {torch.float32}
    assert set(seen[len(seen) // 2 :]) == {torch.bfloat16}
    assert exact.dtype == rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)
    assert not torch.equal(rounded, exact)
    rounded.sum().backward()
    assert inferer is SectionInferer or network.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("name", ["", "unet"])
@torch.no_grad()
def test_shipped_weights_give_the_same_labels_in_bfloat16(name: str, tiny_phantom: Path) -> None:
    network = load_network(ROOT / "models" / name / "model.pt")
    equal = found = 0
    sections = load_sections(tiny_phantom / "datalist.json", "test")
    for section in sections:
        image = HistogramNormalize(4096, 0, 1)(read_section(section["image"]).astype("float32")[None]).as_tensor()
        masks = [SectionInferer(128, amp=amp)(image[None], network).argmax(dim=1) for amp in (False, True)]
        equal += (masks[0] == masks[1]).float().mean().item()
        found += masks[0].float().mean().item()
    assert found > 0
    assert equal / len(sections) > 0.998
