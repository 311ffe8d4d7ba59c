"""Masks of sections that are to be registered."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["background_mask", "is_noise", "widened"]

NOISE = 0.3
"""Variance of means over 3 x 3 pixels, as a share of that of pixels: 0.11 for white noise, 0.6 to 0.9 in tissue."""


def background_mask(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a section shows no tissue: surroundings without any contrast.

    Args:
        image: (width, height).

    Returns:
        bool, same shape.
    """
    window = (15, 15)
    values = image.astype(np.float32)
    mean = cv2.blur(values, window)
    variance = cv2.blur(values**2, window) - mean**2
    return variance < 4.0


def is_noise(image: NDArray[np.uint8]) -> bool:
    """Tell whether a section shows nothing but noise, such as a blank one whose contrast was stretched.

    Args:
        image: (width, height).

    Returns:
        Whether neighbouring pixels have hardly anything in common, apart from uneven brightness.
    """
    values = image.astype(np.float32)
    values -= cv2.blur(values, (31, 31))
    return bool(cv2.blur(values, (3, 3)).var() < NOISE * values.var())


def widened(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """The mask and what lies within so many pixels of it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1,) * 2)
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)
