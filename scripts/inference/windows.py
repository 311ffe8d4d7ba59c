"""Scores of a part of a section, equal to those of the whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from monai.utils import ensure_tuple_rep
from torch import nn

from scripts.resampling import resample_window, size_at, source_range

from .inferers import ProbabilityInferer

__all__ = ["score_window"]

Read = Callable[[tuple[slice, slice]], torch.Tensor]
"""Give a part of a section, its columns and rows: float32 (1, 1, columns, rows), as the network sees it."""


def score_window(
    inferer: ProbabilityInferer,
    network: nn.Module,
    read: Read,
    shape: tuple[int, int],
    pixel_size: Sequence[float] | None,
    window: tuple[slice, slice],
) -> torch.Tensor:
    """Give a part of what `inferer` makes of a section, and read no more of the section than that needs.

    The network sees the very windows that it would see of the whole section, those of them that reach into the part.

    Args:
        inferer: of whole sections; what scores in it is a ``monai.inferers.SlidingWindowInferer``.
        network: any network of two classes; it stays as it is.
        read: reads the section.
        shape: width and height of the section.
        pixel_size: of it in nanometres, (x, y); None takes it as it is.
        window: the part.

    Returns:
        Probability of mitochondrion, float32 (1, 1, columns, rows).
    """
    own = [inferer.pixel_size] * 2 if pixel_size is None else pixel_size
    sides, overlaps = (ensure_tuple_rep(value, 2) for value in (inferer.inferer.roi_size, inferer.inferer.overlap))
    mean: torch.Tensor | None = None
    for scale in inferer.scales:
        size = size_at(shape, own, inferer.pixel_size / scale)
        needed = _sources(window, size, shape)
        for flip in inferer.flips:
            seen = tuple(
                _whole_windows(part, length, roi, overlap, 2 + axis in flip)
                for axis, (part, length, roi, overlap) in enumerate(zip(needed, size, sides, overlaps, strict=True))
            )
            source = _sources(seen, shape, size)
            view = resample_window(read(source), _origin(source), shape, size, seen)
            odds = inferer.log_odds(view, network, flip)
            probability = resample_window(odds, _origin(seen), size, shape, window).float().sigmoid_()
            mean = probability if mean is None else mean.add_(probability)
    views = len(inferer.scales) * len(inferer.flips)
    return mean if views == 1 else mean.div_(views)


def _sources(window: Sequence[slice], size: Sequence[int], new_size: Sequence[int]) -> tuple[slice, slice]:
    """What of an image a part of it at another size is made of."""
    columns, rows = (
        slice(*source_range(part.start, part.stop, before, after))
        for part, before, after in zip(window, size, new_size, strict=True)
    )
    return columns, rows


def _origin(window: Sequence[slice]) -> tuple[int, int]:
    return window[0].start, window[1].start


def _whole_windows(part: slice, length: int, roi: int, overlap: float, flipped: bool) -> slice:
    """Extend a part of an axis to all windows that reach into it, which lie as MONAI lays them.

    From the first of them to the last, MONAI lays the same windows again.
    """
    if length <= roi:  # is padded to one window
        return slice(0, length)
    if flipped:
        seen = _whole_windows(slice(length - part.stop, length - part.start), length, roi, overlap, False)
        return slice(length - seen.stop, length - seen.start)
    interval = max(1, int(roi * (1 - overlap)))
    count = math.ceil((length - roi) / interval) + 1
    starts = [min(i * interval, length - roi) for i in range(count)]
    reaching = [start for start in starts if start < part.stop and start + roi > part.start]
    return slice(reaching[0], reaching[-1] + roi)
