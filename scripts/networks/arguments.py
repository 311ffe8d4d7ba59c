"""What the networks of this bundle take."""

from __future__ import annotations

import math


def check_arguments(width: float, dropout: float, downsampling: int) -> None:
    """Refuse arguments that both networks have and that are out of their range.

    Args:
        width: factor on numbers of channels, positive and finite.
        dropout: probability in [0, 1).
        downsampling: whole number from 1.

    Raises:
        ValueError: one is out of its range; the message names it.
    """
    if not 0 < width < math.inf:
        raise ValueError(f"width must be a positive number, but got {width}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), but got {dropout}.")
    if not isinstance(downsampling, int) or downsampling < 1:
        raise ValueError(f"downsampling must be a whole number from 1, but got {downsampling}.")
