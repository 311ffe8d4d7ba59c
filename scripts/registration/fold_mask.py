"""Where folds hide the tissue of a section, and what they separate."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from . import kernels

__all__ = ["FoldMask", "fold_arguments"]

FloatArray = NDArray[np.float64]


class FoldMask:
    """Where folds hide the tissue of a section.

    Args:
        mask: bool (width, height) of the section, or smaller by a whole factor, true under a fold.
        size: width and height of the section in pixels.
    """

    def __init__(self, mask: NDArray[np.bool_], size: tuple[int, int]) -> None:
        self.mask = mask
        self._factor = np.maximum(1, np.rint(np.array(size) / mask.shape))

    def covers(self, points: FloatArray) -> NDArray[np.bool_]:
        """Whether points lie under a fold.

        Args:
            points: (..., 2), positions (x, y) in pixels of the section.

        Returns:
            bool (...).
        """
        return self._at(self.mask, (points + 0.5) / self._factor)

    def distance(self, points: FloatArray) -> FloatArray:
        """Distance in pixels of points (..., 2) to the nearest fold, to about a pixel of the mask; 0 under a fold."""
        return self._at(self._distance, (points + 0.5) / self._factor) * self._factor.min()

    def between(self, start: FloatArray, stop: FloatArray) -> NDArray[np.bool_]:
        """Whether the straight way between two points touches a fold.

        Args:
            start: (..., 2), positions (x, y) in pixels of the section.
            stop: (..., 2), likewise.

        Returns:
            bool (...).
        """
        start, stop = np.broadcast_arrays(start, stop)
        touched = np.empty(start.shape[:-1], bool)
        kernels.between(*self.arguments, *map(kernels.points_of, (start, stop)), touched.reshape(-1))
        return touched

    @property
    def arguments(self) -> tuple[NDArray[np.float32], tuple[float, float]]:
        """The folds as `kernels` takes them."""
        return self._distance, tuple(self._factor)

    @cached_property
    def _distance(self) -> NDArray[np.float32]:
        return cv2.distanceTransform((~self.mask).astype(np.uint8), cv2.DIST_L2, 5)

    @staticmethod
    def _at(image: NDArray, places: FloatArray) -> NDArray:
        x, y = (np.clip(places[..., axis].astype(np.intp), 0, image.shape[axis] - 1) for axis in (0, 1))
        return image[x, y]


def fold_arguments(folds: FoldMask | None) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """The folds of a section, perhaps none, as `kernels` takes them."""
    if folds is None:
        return np.zeros((0, 0), np.float32), (1.0, 1.0)
    return folds.arguments
