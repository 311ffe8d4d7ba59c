"""Random changes of the histogram, of patches of any kind."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import monai.transforms
import torch
from monai.utils import convert_to_tensor

__all__ = ["RandHistogramShiftd"]

LEAST_RANGE = 1e-3
"""Of grey levels, as a share of the largest one: below, there is no histogram to shift."""


class RandHistogramShiftd(monai.transforms.RandHistogramShiftd):
    """``monai.transforms.RandHistogramShiftd``, which leaves alone what has one grey level but for rounding.

    The control points of a patch of blank resin, smoothed before, are the same number in float32. MONAI divides by
    their distances, and the NaN that come of it end the training.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Change the histogram of one item.

        Args:
            data: images of any shape, float32.

        Returns:
            The item, with its images changed, or as they were where their grey levels hardly differ.
        """
        d = dict(data)
        flat = {key: d[key] for key in self.key_iterator(d) if self._is_flat(convert_to_tensor(d[key]))}
        # nothing is drawn per image, so that what comes after is augmented in the same way
        placeholders = {key: torch.tensor([0.0, 1.0]) for key in flat}
        return super().__call__(d | placeholders) | flat

    @staticmethod
    def _is_flat(image: torch.Tensor) -> bool:
        lowest, highest = image.aminmax()
        return bool(highest - lowest <= LEAST_RANGE * torch.maximum(lowest.abs(), highest.abs()))
