"""The shift of the histogram, of patches that have none too."""

import monai.transforms
import numpy as np
import pytest
import torch

from scripts.transforms import RandHistogramShiftd


def nearly_constant(grey: float) -> torch.Tensor:
    """A blank patch after smoothing: neighbouring float32 numbers."""
    image = torch.full((1, 8, 8), grey)
    image[0, 4] = torch.nextafter(image[0, 4], torch.tensor(2.0))
    return image


def shifted(cls: type, image: torch.Tensor, seed: int) -> torch.Tensor:
    return cls("image", num_control_points=[5, 12], prob=1.0).set_random_state(seed)({"image": image})["image"]


@pytest.mark.parametrize("grey", [0.2, 0.5, 1.0])
def test_blank_patch_stays_where_monai_gives_nan(grey: float) -> None:
    image = nearly_constant(grey)
    assert torch.isnan(shifted(monai.transforms.RandHistogramShiftd, image, 0)).any()
    for seed in range(20):
        assert torch.equal(shifted(RandHistogramShiftd, image, seed), image)


@pytest.mark.parametrize("grey", [0.0, 1.0])
def test_constant_patch_stays_without_a_warning(grey: float) -> None:
    image = torch.full((1, 8, 8), grey)
    assert torch.equal(shifted(RandHistogramShiftd, image, 0), image)


def test_other_patches_are_changed_as_by_monai() -> None:
    image = torch.from_numpy(np.random.default_rng(0).random((1, 16, 16), dtype=np.float32)) * 0.01 + 0.5
    for seed in range(5):
        found = shifted(RandHistogramShiftd, image, seed)
        assert torch.equal(found, shifted(monai.transforms.RandHistogramShiftd, image, seed))
        assert not torch.equal(found, image)


def test_blank_patch_leaves_what_is_drawn_for_the_next_as_it_is() -> None:
    image = torch.rand((1, 16, 16), generator=torch.Generator().manual_seed(0))
    after = []
    for first in (nearly_constant(1.0), image):
        transform = RandHistogramShiftd("image", num_control_points=[5, 12], prob=1.0).set_random_state(3)
        transform({"image": first})
        after.append(transform({"image": image})["image"])
    assert torch.equal(*after)
