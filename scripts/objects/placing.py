"""Which planes of a volume the numbers of a stack belong to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.io import read_header

from .stack import MaskStack

__all__ = ["at_planes", "planes_of"]

logger = logging.getLogger(__name__)


def planes_of(volume: str | Path, stack: MaskStack) -> list[int]:
    """Find the planes of a volume that the masks of a stack belong to: their places in the complete stack.

    Args:
        volume: an image; one that has as many planes as there are masks lacks the sections that are missing too.
        stack: of masks.

    Returns:
        The plane of each mask, from 0.

    Raises:
        ValueError: the volume is of another shape.
        FileNotFoundError: there is no such volume.
    """
    image, (height, width) = read_header(volume), stack.shape
    planes = list(range(len(stack))) if image.pages == len(stack) else stack.positions.tolist()
    if (image.height, image.width) != (height, width) or image.pages <= planes[-1]:
        raise ValueError(
            f"{volume}: labels_of must be a volume of {planes[-1] + 1} sections or more of {width}x{height} pixels, as "
            f"the masks are, but got {image.pages} of {image.width}x{image.height}"
        )
    if image.pages > len(stack) and all(plane.section is None for plane in stack.planes) and not stack.missing:
        logger.warning(
            "%s: has %d sections, and there are %d masks: they are taken for those of its first ones. State "
            "--sections_dir or --missing_sections if others are missing",
            volume,
            image.pages,
            len(stack),
        )
    return planes


def at_planes(
    sections: Iterator[NDArray[np.integer]], planes: Sequence[int], shape: tuple[int, int, int]
) -> Iterator[NDArray[np.integer]]:
    """Give the planes of a volume one after the other, 0 where there is no section.

    Args:
        sections: (height, width), one for each of `planes`.
        planes: of the volume, in rising order.
        shape: of the volume, (planes, height, width).
    """
    there = set(planes)
    for plane in range(shape[0]):
        yield next(sections) if plane in there else np.zeros(shape[1:], np.uint8)
