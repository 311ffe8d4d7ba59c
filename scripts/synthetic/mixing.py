"""Blending of 8 bit pictures, in place and by OpenCV: a mask of 255 takes the new value, of 0 keeps the old."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["blend", "darken", "depth_inside", "grey_level"]

Picture = NDArray[np.uint8]


def darken(picture: Picture, mask: Picture, level: float) -> None:
    """Bring `picture` towards a grey level where it is brighter, by the strength of the mask."""
    # not by `subtract` of a scalar: OpenCV takes four rows of one pixel for one, too
    excess = cv2.LUT(picture, np.clip(np.rint(np.arange(256) - level), 0, 255).astype(np.uint8))
    cv2.subtract(picture, cv2.multiply(excess, mask, scale=1 / 255), dst=picture)


def blend(picture: Picture, mask: Picture, level: float | Picture) -> None:
    """Bring `picture` towards a grey level or another picture, by the strength of the mask."""
    new = (
        cv2.multiply(level, mask, scale=1 / 255)
        if isinstance(level, np.ndarray)
        else cv2.convertScaleAbs(mask, alpha=grey_level(level) / 255)
    )
    cv2.subtract(picture, cv2.multiply(picture, mask, scale=1 / 255), dst=picture)
    cv2.add(picture, new, dst=picture)


def depth_inside(mask: Picture, pixel: float = 1.0) -> NDArray[np.float32]:
    """Distance of each pixel inside a mask from its outside.

    Args:
        mask: not 0 inside.
        pixel: size of a pixel, in the unit of the distance.

    Returns:
        float32 of the same shape, 0 outside; finite also where the mask has no outside.
    """
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5 if mask.size < 4096 else 3)
    # not by OpenCV, as above
    np.minimum(distance, 1e5, out=distance)
    distance *= pixel
    return distance


def grey_level(level: float) -> np.uint8:
    """Round and clip a grey level to 8 bit."""
    return np.uint8(min(max(round(level), 0), 255))
