"""The range of grey levels that counts, and grey levels within it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLIP", "quantile_range", "scaled"]

CLIP = (0.0005, 0.9995)
"""Quantiles of the tissue that become black and white."""

SAMPLE = 2**20
"""Pixels from which a range is estimated."""


def quantile_range(image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> tuple[float, float]:
    """Grey levels at two quantiles of the pixels, without those that are far from all others, as dead rows are."""
    step = max(1, int(np.sqrt(image.size / SAMPLE)))
    sample = image[::step, ::step]
    if mask is not None and mask[::step, ::step].any():
        sample = sample[mask[::step, ::step]]
    sample = sample.ravel().astype(np.float64)
    first, last = np.quantile(sample, (0.02, 0.98))
    reach = 3 * (last - first)
    if reach > 0:
        sample = sample[(sample >= first - reach) & (sample <= last + reach)]
    low, high = np.quantile(sample, clip)
    return float(low), float(high)


def scaled(pixels: NDArray, low: float, high: float) -> NDArray[np.float32]:
    """Grey levels from `low` to `high` as 0 to 1, with what is beyond at the ends."""
    exact = np.float32 if pixels.dtype.kind in "iub" and pixels.dtype.itemsize <= 2 else np.float64
    levels = np.clip(pixels.astype(exact), low, high)
    levels -= low
    levels /= high - low
    return levels.astype(np.float32, copy=False)
