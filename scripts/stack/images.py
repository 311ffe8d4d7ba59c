"""Sections as they are read: whole, and reduced to 8 bit where they are registered."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.grey_levels import tissue_mask
from scripts.io import Section, binarize_label, find_sections, read_mask, read_section, split_suffix
from scripts.registration import centred

__all__ = ["SectionImages", "to_eight_bit"]

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class SectionImages:
    """The sections of a stack, and the masks of their folds.

    Args:
        sections: of `find_sections`.
        names: of the sections.
        max_size: most pixels of the longer side where sections are registered; they are reduced by a whole factor.
        min_size: pixels of the shorter side below which a section does not decide on that factor.
        fold_masks_dir: folder of fold masks, see `StackAlignment`.

    Attributes:
        sizes: width and height of each section in pixels.
        fold_masks: file of the fold mask of each section, or None.
        scale: the factor.

    Raises:
        ValueError: a fold mask belongs to no section, is one of two, or has another size than its section.
        FileNotFoundError: there is no such folder.
    """

    def __init__(
        self,
        sections: Sequence[Section],
        names: Sequence[str],
        max_size: int,
        min_size: int,
        fold_masks_dir: str | Path | None,
    ) -> None:
        self._sections = sections
        self.sizes = [(section.width, section.height) for section in sections]
        self.fold_masks = _fold_masks(fold_masks_dir, names, self.sizes)
        decisive = [size for size in self.sizes if min(size) >= min_size] or self.sizes
        self.scale = -(-max(map(max, decisive)) // max_size)
        self._cache: dict[int, tuple[Image, Mask | None]] = {}

    def whole(self, index: int) -> NDArray[Any]:
        """A section as it is, (width, height)."""
        return read_section(self._sections[index])

    def valid(self, index: int) -> Mask | None:
        """Where there is a section at all, (width, height); None is everywhere."""
        section = self._sections[index]
        return None if section.valid is None else read_mask(section.valid, section.page)

    def reduced(self, index: int) -> tuple[Image, Mask | None]:
        """A section where it is registered, 8 bit, and the mask of its folds in the same size, if it is given."""
        if index not in self._cache:
            image = to_eight_bit(self.whole(index), self.scale)
            valid = self.valid(index)
            if valid is not None:
                # black as a margin is, in which nothing is looked for
                image[_reduce(np.where(valid, np.uint8(0), np.uint8(255)), self.scale) > 0] = 0
            self._cache[index] = image, self._fold(index)
        return self._cache[index]

    def apart(self) -> SectionImages:
        """The same sections for another thread, with a memory of its own."""
        other = copy.copy(self)
        other._cache = {}
        return other

    def forget_all_but(self, indices: Collection[int]) -> None:
        """Free the memory of what is no longer needed."""
        self._cache = {index: entry for index, entry in self._cache.items() if index in indices}

    def check_fold_masks(self) -> None:
        """Read all fold masks.

        Raises:
            ValueError: one is damaged, or has other values than a mask.
        """
        for mask in filter(None, self.fold_masks):
            binarize_label(read_section(mask), mask)

    def _fold(self, index: int) -> Mask | None:
        mask = self.fold_masks[index]
        if mask is None:
            return None
        # whatever a pixel has of a fold: a line drawn by hand must not vanish, and has to separate its sides
        fold = _reduce(255 * binarize_label(read_section(mask), mask), self.scale) > 0
        return cv2.dilate(fold.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def to_eight_bit(pixels: NDArray[Any], factor: int) -> Image:
    """Reduce a section, and stretch the grey levels of its tissue to 8 bit.

    Args:
        pixels: (width, height), integers or floating point.
        factor: by which it is reduced.

    Returns:
        uint8, smaller by the factor; black where the section is constant.
    """
    small = _reduce(pixels, factor)
    low, high = np.percentile(small[::4, ::4][tissue_mask(small)[::4, ::4]], (0.5, 99.5))
    if not high > low:
        return np.zeros(small.shape, np.uint8)
    return np.clip((small.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)


def _reduce(pixels: NDArray[Any], factor: int) -> NDArray[Any]:
    """Mean over blocks of factor x factor pixels; a rest at the border is left out, but one block at least remains."""
    if pixels.dtype not in (np.uint8, np.uint16):
        # single precision is for what differs
        pixels = centred(pixels)[0].astype(np.float32, copy=False)
    if factor == 1:
        return pixels
    width, height = (max(1, n // factor) for n in pixels.shape)
    cropped = np.ascontiguousarray(pixels[: width * factor, : height * factor])
    return cv2.resize(cropped, (height, width), interpolation=cv2.INTER_AREA)


def _fold_masks(folder: str | Path | None, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> list[str | None]:
    if folder is None:
        return [None] * len(names)
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of fold masks")
    masks: dict[str, Section] = {}
    for mask in find_sections(folder):
        other = masks.setdefault(split_suffix(mask.path)[0], mask)
        if other.path != mask.path:
            raise ValueError(f"{mask.path}: must be the only fold mask of its section, but got {other.path} as well")
    unknown = sorted(masks.keys() - set(names))
    if unknown:
        raise ValueError(
            f"{masks[unknown[0]].path}: a fold mask must be named as its section, such as {names[0]}, but got "
            f"{unknown[0]}"
        )
    for name, size in zip(names, sizes, strict=True):
        mask = masks.get(name)
        if mask is not None and (mask.width, mask.height) != size:
            raise ValueError(
                f"{mask.path}: a fold mask must be as large as its section, {size[0]}x{size[1]} pixels, but got "
                f"{mask.width}x{mask.height}"
            )
    return [masks[name].path if name in masks else None for name in names]
