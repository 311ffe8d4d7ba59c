"""Masks of sections that are to be registered."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["background_mask", "widened"]


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


def widened(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """The mask and what lies within so many pixels of it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1,) * 2)
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)
