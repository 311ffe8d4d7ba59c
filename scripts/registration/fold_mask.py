"""Where folds hide the tissue of a section, and what they separate."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FoldMask"]

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
        touched = self.covers(start) | self.covers(stop)
        start, stop = (start + 0.5) / self._factor, (stop + 0.5) / self._factor
        length = np.linalg.norm(stop - start, axis=-1)
        way = np.argwhere(~touched & (length > 0))
        place, length = start[tuple(way.T)], length[tuple(way.T)]
        direction = (stop[tuple(way.T)] - place) / length[:, None]
        gone = np.zeros(len(way))
        # as far at once as the nearest fold is away
        while len(way):
            free = self._at(self._distance, place + gone[:, None] * direction)
            touched[tuple(way[free == 0].T)] = True
            gone += np.maximum(free - 1, 0.5)
            on = (free > 0) & (gone < length)
            way, place, direction, length, gone = way[on], place[on], direction[on], length[on], gone[on]
        return touched

    @cached_property
    def _distance(self) -> NDArray[np.float32]:
        return cv2.distanceTransform((~self.mask).astype(np.uint8), cv2.DIST_L2, 5)

    @staticmethod
    def _at(image: NDArray, places: FloatArray) -> NDArray:
        x, y = (np.clip(places[..., axis].astype(np.intp), 0, image.shape[axis] - 1) for axis in (0, 1))
        return image[x, y]
