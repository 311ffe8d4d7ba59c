"""The range of grey levels that counts, and grey levels within it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLIP", "quantile_range", "scaled", "tissue_range"]

CLIP = (0.0005, 0.9995)
"""Quantiles of the tissue that become black and white."""

SAMPLE = 2**20
"""Pixels from which a range is estimated."""

FAR = 32
"""Ranges of tissue from which on a group of grey levels is far. At 100 of them tissue begins to look like a margin."""

CONSTANT = 0.25
"""Range of a far group, at most, as a share of that of tissue: where it is more, either could be tissue."""

ROUNDING = 8
"""Steps of the pixel type that interpolation and compression add to what was constant."""


def quantile_range(image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> tuple[float, float]:
    """Grey levels at two quantiles of the pixels, without those that are far from all others, as dead rows are."""
    return _range(_sampled(image, mask), clip)


def tissue_range(image: NDArray, mask: NDArray[np.bool_] | None, clip: tuple[float, float]) -> tuple[float, float]:
    """That of `quantile_range`, without what is so far away that it would leave tissue next to no grey levels.

    Margins and missing rows of -9999 or 1e30, or of 0 beside an offset, may be any share of a section. They and tissue
    are narrow groups with next to nothing between them, whatever interpolation mixes, and they are (nearly) constant.
    """
    sample = _sampled(image, mask)
    range_ = _range(sample, clip)
    while (near := _without_far_group(sample, range_, image.dtype)) is not None:
        sample = near
        range_ = _range(sample, clip)
    return range_


def _sampled(image: NDArray, mask: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    step = max(1, int(np.sqrt(image.size / SAMPLE)))
    sample = image[::step, ::step]
    if mask is not None and mask[::step, ::step].any():
        sample = sample[mask[::step, ::step]]
    return sample.ravel().astype(np.float64)


def _range(sample: NDArray[np.float64], clip: tuple[float, float]) -> tuple[float, float]:
    first, last = np.quantile(sample, (0.02, 0.98))
    reach = 3 * (last - first)
    if reach > 0:
        sample = sample[(sample >= first - reach) & (sample <= last + reach)]
    low, high = np.quantile(sample, clip)
    return float(low), float(high)


def _without_far_group(
    sample: NDArray[np.float64], range_: tuple[float, float], dtype: np.dtype
) -> NDArray[np.float64] | None:
    """The pixels on the side of tissue, if those below and above the middle of their range are far apart."""
    low, high = range_
    if not high > low:
        return None
    above = sample >= low / 2 + high / 2  # their sum may be beyond the largest number
    if above.all():
        return None
    sides = sample[~above], sample[above]
    spreads = [_spread(side, dtype) for side in sides]
    narrow, wide = sorted(spreads)
    if not (0 < wide < (high - low) / FAR and narrow <= CONSTANT * wide):
        return None
    return sides[spreads.index(wide)]


def _spread(side: NDArray[np.float64], dtype: np.dtype) -> float:
    """Range of nearly all of some pixels, beyond what rounding makes of a constant."""
    first, middle, last = np.quantile(side, (0.05, 0.5, 0.95))
    # double precision often holds what was computed in single precision
    step = max(np.finfo(dtype).eps, np.finfo(np.float32).eps) * abs(middle) if dtype.kind == "f" else 1
    return max(0.0, float(last - first - ROUNDING * step))


def scaled(pixels: NDArray, low: float, high: float) -> NDArray[np.float32]:
    """Grey levels from `low` to `high` as 0 to 1, with what is beyond at the ends."""
    exact = np.float32 if pixels.dtype.kind in "iub" and pixels.dtype.itemsize <= 2 else np.float64
    levels = np.clip(pixels.astype(exact), low, high)
    levels -= low
    levels /= high - low
    return levels.astype(np.float32, copy=False)
