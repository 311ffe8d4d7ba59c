"""The regular grid of patches that covers a section."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["tile_corners"]


def tile_corners(shape: Sequence[int], patch: Sequence[int]) -> list[tuple[int, int]]:
    """Give the lower corners of the fewest patches that cover a section.

    They are spread evenly, so that the last row and column end at the border instead of running over it.

    Args:
        shape: width and height of the section in pixels.
        patch: width and height of a patch in pixels; along an axis on which it is the longer one, it starts at 0.

    Returns:
        The corners (x, y), column by column.
    """
    axes = []
    for length, size in zip(shape, patch, strict=True):
        count = math.ceil(length / size)
        axes.append([round(i * max(0, length - size) / max(1, count - 1)) for i in range(count)])
    return [(x, y) for x in axes[0] for y in axes[1]]
