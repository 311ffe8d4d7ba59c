from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.io import IGNORE_INDEX
from scripts.transforms import RandDenseBodiesd

KEYS = ("image", "label")


@pytest.fixture
def patch() -> dict:
    """Even noise with two mitochondria, and a part that is not known."""
    levels = np.random.default_rng(0).uniform(0.2, 1, (1, 120, 90)).astype(np.float32)
    label = torch.zeros(1, 120, 90, dtype=torch.uint8)
    label[:, 20:50, 20:40] = 1
    label[:, 80:100, 60:] = 1
    label[:, :, :8] = IGNORE_INDEX
    return {"image": MetaTensor(torch.from_numpy(levels)), "label": label}


def changed(before: dict, after: dict) -> torch.Tensor:
    return torch.as_tensor(before["image"] != after["image"])[0]


def test_bodies_are_black_and_lie_on_background(patch: dict) -> None:
    transform = RandDenseBodiesd(KEYS, 10, prob=1, radius_range=(80, 200)).set_random_state(3)
    shares = []
    for _ in range(40):
        found = transform(patch)
        assert found["image"].dtype == torch.float32
        assert found["image"].shape == patch["image"].shape
        assert found["label"] is patch["label"]
        body = changed(patch, found)
        assert not body[patch["label"][0] != 0].any()
        shares.append(body.float().mean().item())
        if body.any():
            assert torch.as_tensor(found["image"])[0][body].median() < 0.32  # the darkest eighth of the noise
    assert np.mean(np.array(shares) > 0) > 0.8
    # one to three discs of 8 to 20 pixels
    assert 0.02 < np.mean(shares) < 0.25


def test_the_size_is_that_in_nanometres() -> None:
    empty = {"image": torch.rand(1, 200, 200) + 0.5, "label": torch.zeros(1, 200, 200)}
    areas = {}
    for pixel_size in (10, 20):
        transform = RandDenseBodiesd(KEYS, pixel_size, prob=1, most=1, radius_range=(300, 300)).set_random_state(0)
        # those that the border cuts off are smaller
        areas[pixel_size] = np.median([changed(empty, transform(empty)).sum().item() for _ in range(60)])
    assert areas[10] == pytest.approx(np.pi * 30**2, rel=0.3)
    assert areas[10] / areas[20] == pytest.approx(4, rel=0.3)


def test_some_hold_pale_droplets_and_all_are_black_else() -> None:
    even = {"image": torch.rand(1, 128, 128) / 2 + 0.5, "label": torch.zeros(1, 128, 128)}
    transform = RandDenseBodiesd(
        KEYS, 10, prob=1, most=1, radius_range=(250, 300), level_range=(0, 0)
    ).set_random_state(0)
    pale = []
    for _ in range(60):
        painted = transform(even)["image"]
        body = painted[changed(even, {"image": painted})[None]]
        assert body.median() < 0.6
        pale.append(((body > 0.62) & (body < 0.9)).float().mean().item())
    # the border is pale as well, a few per cent
    assert 0.08 < np.mean(np.array(pale) > 0.08) < 0.4


def test_as_often_as_asked(patch: dict) -> None:
    transform = RandDenseBodiesd(KEYS, 10, prob=0.3, radius_range=(50, 80)).set_random_state(0)
    often = np.mean([changed(patch, transform(patch)).any().item() for _ in range(200)])
    assert often == pytest.approx(0.3, abs=0.1)
    assert not changed(patch, RandDenseBodiesd(KEYS, 10, prob=0)(patch)).any()


def test_no_place_no_body() -> None:
    full = {"image": torch.rand(1, 64, 64), "label": torch.ones(1, 64, 64)}
    assert not changed(full, RandDenseBodiesd(KEYS, 10, prob=1).set_random_state(0)(full)).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prob": 1.5}, "prob must be from 0 to 1, but got 1.5"),
        ({"pixel_size": 0}, "pixel_size must be above 0 and most at least 1, but got 0, 3"),
        ({"most": 0}, "most at least 1, but got 10, 0"),
        ({"radius_range": (200, 100)}, r"radius_range .* got \(200, 100\)"),
        ({"level_range": (0, 2)}, r"level_range .* got \(0, 2\)"),
    ],
)
def test_what_is_out_of_range_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandDenseBodiesd(KEYS, **{"pixel_size": 10, **settings})
