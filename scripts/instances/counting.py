"""Counting without bias: the unbiased frame in a section, the disector through the stack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "count_objects", "count_profiles"]


@dataclass(frozen=True)
class Frame:
    """A counting frame within a section (Gundersen 1977).

    A profile is counted if its bounding box begins in the frame: it touches neither the upper nor the left edge, nor
    their extensions. Each profile is then counted in exactly one of the frames that tile a plane, whatever its size
    and shape.

    Attributes:
        top: first row.
        left: first column.
        bottom: last row.
        right: last column.
    """

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def of(cls, height: int, width: int, guard: int = 0) -> Frame:
        """Make the frame of a section.

        Args:
            height: of the section, in pixels.
            width: of the section, in pixels.
            guard: pixels on all sides that the frame leaves free, so that what is counted is seen whole.

        Returns:
            The frame.

        Raises:
            ValueError: nothing is left of the section.
        """
        if guard < 0 or 2 * guard >= min(height, width) - 1:
            raise ValueError(f"guard must be from 0 to less than half of {height}x{width} pixels, but got {guard}")
        return cls(guard, guard, height - 1 - guard, width - 1 - guard)

    @property
    def pixels(self) -> int:
        """Pixels of the area to which counts refer: those of the two exclusion edges do not belong to it."""
        return (self.bottom - self.top) * (self.right - self.left)


def count_profiles(boxes: NDArray[np.int64], frame: Frame) -> int:
    """Count profiles of one section.

    Args:
        boxes: int64 (profiles, 4): first row, first column, last row, last column.
        frame: where they are counted.

    Returns:
        Profiles that the frame counts, per `frame.pixels`.
    """
    return int(_counted(boxes, frame).sum())


def count_objects(
    boxes: NDArray[np.int64],
    objects: NDArray[np.int64],
    section: NDArray[np.int64],
    frame: Frame,
    looked_at: NDArray[np.bool_] | None = None,
) -> int:
    """Count objects of a stack by the disector (Sterio 1984), between all its neighbours.

    An object is counted where it begins: in a section in which it is, but not in the one before. The first section is
    only looked at, so what it shows is not counted, and the volume is one section less. Within the section it is the
    whole object that must not touch the two exclusion edges, in no section (the unbiased brick, Howard et al. 1985).

    Args:
        boxes: int64 (profiles, 4).
        objects: int64 (profiles,), number of each profile's object.
        section: int64 (profiles,), index of its section.
        frame: where they are counted.
        looked_at: bool (sections,), those before which nothing is known, so that what they show may have begun before,
            see `scripts.instances.ends`; None is the first alone. The distance below is then less by the gaps before.

    Returns:
        Objects, per `frame.pixels` times the distance from the first to the last section.
    """
    if not len(objects):
        return 0
    bounds = np.full((int(objects.max()) + 1, 4), -1, np.int64)
    bounds[:, :2] = np.iinfo(np.int64).max
    last = int(section.max())
    first = np.full(len(bounds), last)
    for axis in (0, 1):
        np.minimum.at(bounds[:, axis], objects, boxes[:, axis])
        np.maximum.at(bounds[:, axis + 2], objects, boxes[:, axis + 2])
    np.minimum.at(first, objects, section)
    present = np.zeros(len(bounds), bool)
    present[objects] = True
    begins = first > 0 if looked_at is None else ~looked_at[first]
    return int((present & begins & _counted(bounds, frame)).sum())


def _counted(boxes: NDArray[np.int64], frame: Frame) -> NDArray[np.bool_]:
    top, left = boxes[:, 0], boxes[:, 1]
    return (top > frame.top) & (left > frame.left) & (top <= frame.bottom) & (left <= frame.right)
