from __future__ import annotations

import pytest
import torch

from scripts.resampling import at_pixel_size, resample, size_at


def test_sizes() -> None:
    assert size_at((1000, 500), (5, 5), 10) == (500, 250)
    assert size_at((1000, 500), (5, 10), 10) == (500, 500)  # pixels become square
    assert size_at((3, 3), (1, 1), 10) == (1, 1)
    assert at_pixel_size(torch.rand(1, 2, 100, 50), (5, 10), 10).shape == (1, 2, 50, 50)


def test_the_same_size_is_the_same_image() -> None:
    image = torch.rand(1, 1, 8, 9)
    assert resample(image, (8, 9)) is image


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_noise_is_averaged_and_structure_stays(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 200)[:, None].expand(200, 200)
    fine = (ramp + 0.2 * torch.randn(200, 200))[None, None].to(dtype)
    coarse = resample(fine, (50, 50))
    assert coarse.dtype == dtype
    expected = torch.linspace(0, 1, 200).reshape(50, 4).mean(dim=1)
    inside = (coarse[0, 0].float() - expected[:, None])[2:-2]
    assert inside.std() < 0.2 / 3
    assert abs(inside.mean()) < 0.01


def test_there_and_back() -> None:
    x = torch.linspace(0, 6.28, 64)
    smooth = (x.sin()[:, None] * x.cos())[None, None]
    torch.testing.assert_close(resample(resample(smooth, (97, 97)), (64, 64)), smooth, atol=0.02, rtol=0)
