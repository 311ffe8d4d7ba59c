"""Random changes of the histogram, of patches of any kind."""

from __future__ import annotations

import monai.transforms
import torch
from monai.config import KeysCollection
from monai.utils import convert_to_tensor

__all__ = ["RandHistogramShiftd"]

LEAST_RANGE = 1e-3
"""Of grey levels, as a share of the largest one: below, there is no histogram to shift."""


class RandHistogramShiftd(monai.transforms.RandHistogramShiftd):
    """``monai.transforms.RandHistogramShiftd``, which leaves alone what has one grey level but for rounding.

    The control points of a patch of blank resin, smoothed before, are the same number in float32. MONAI divides by
    their distances, and the NaN that come of it end the training.

    Args:
        keys: images of any shape, float32.
        num_control_points: of the mapping of grey levels, or the least and the largest number of them.
        prob: probability that an item is changed.
        allow_missing_keys: whether a key may be missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        num_control_points: tuple[int, int] | int = 10,
        prob: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, num_control_points, prob, allow_missing_keys)
        self.shifter = _RandHistogramShift(num_control_points, prob=1.0)


class _RandHistogramShift(monai.transforms.RandHistogramShift):
    def __call__(self, img: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        if randomize:
            self.randomize()
        lowest, highest = convert_to_tensor(img).aminmax()
        if highest - lowest <= LEAST_RANGE * torch.maximum(lowest.abs(), highest.abs()):
            return img
        return super().__call__(img, randomize=False)
