"""Masks and sections of a stack, read one by one as (height, width)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from scripts.io import (
    LABEL_FORMATS,
    Section,
    binarize_label,
    find_sections,
    is_volume,
    pixel_size_of,
    read_section,
    split_suffix,
)

__all__ = ["MaskStack"]

POSTFIXES = ("_mitochondria", "_probability")


@dataclass(frozen=True)
class _Plane:
    mask: Section
    section: Section | None
    position: int


class MaskStack:
    """What the objects of a stack are made of.

    Args:
        dataset_dir: masks or probabilities: a folder, a glob pattern, one stack, or a list of sections (.json). Of a
            folder that holds both of a section, probabilities are read: they say more.
        sections_dir: the sections themselves, for grey levels and pictures, or None. A mask belongs to the section of
            its name, without ``_mitochondria`` or ``_probability``; one of a volume, to that of its page.
        threshold: probability from which on a pixel is a mitochondrion.
        label_format: of masks, one of `LABEL_FORMATS`.
        missing_sections: places in the complete stack, from 0, whose sections were lost.
        channel: of the sections, where their files have several.

    Raises:
        FileNotFoundError: there are no masks, or a mask has no section.
        ValueError: sections differ in size, a setting is out of range, or a header cannot be read.
    """

    def __init__(
        self,
        dataset_dir: str | Path,
        sections_dir: str | Path | None = None,
        threshold: float = 0.5,
        label_format: str = "mask",
        missing_sections: Sequence[int] = (),
        channel: int | None = None,
    ) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must be between 0 and 1, but got {threshold!r}")
        if label_format not in LABEL_FORMATS:
            raise ValueError(f"label_format must be one of {', '.join(LABEL_FORMATS)}, but got {label_format!r}")
        if any(type(place) is not int or place < 0 for place in missing_sections):
            raise ValueError(f"missing_sections must be whole numbers from 0 on, but got {missing_sections!r}")
        self.threshold = threshold
        self.label_format = label_format
        masks = _without_doubles(find_sections(dataset_dir))
        sections = (
            None if sections_dir is None else _sections_of(masks, find_sections(sections_dir, channel), sections_dir)
        )
        lost, position, self.planes = set(missing_sections), 0, []
        for index, mask in enumerate(masks):
            while position in lost:
                position += 1
            section = None if sections is None else sections[index]
            self.planes.append(_Plane(mask, section, position))
            position += 1
        self.pixel_sizes = [size for item in masks if (size := pixel_size_of(item)) is not None]
        self.pixel_sizes += [
            size for plane in self.planes if plane.section and (size := pixel_size_of(plane.section)) is not None
        ]
        self.shape = self._one_size()

    def __len__(self) -> int:
        return len(self.planes)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Places of the sections in the complete stack."""
        return np.array([plane.position for plane in self.planes], np.int64)

    def mask(self, index: int) -> tuple[NDArray[np.integer], NDArray[np.float32] | None]:
        """Read a mask.

        Args:
            index: of the section among those that are there.

        Returns:
            Mask (height, width), numbers above 0 in objects, where different numbers are different objects; and the
            probabilities, if these are what was read.

        Raises:
            ValueError: the file is damaged, or holds other values than a mask or probabilities.
        """
        plane = self.planes[index]
        file = plane.mask.path
        pixels = read_section(plane.mask).T
        if pixels.dtype.kind == "f" and self.label_format == "mask":
            low, high = float(pixels.min()), float(pixels.max())
            if low < 0 or high > 1:
                raise ValueError(f"{file}: probabilities must be within [0, 1], but got {low:g} to {high:g}")
            return (pixels >= self.threshold).astype(np.uint8), pixels.astype(np.float32)
        mask = binarize_label(pixels, file, self.label_format)
        return (label(pixels, connectivity=1) if self.label_format == "instances" else mask), None

    def section(self, index: int) -> NDArray | None:
        """Read the grey levels of a section, (height, width), or None where there are none."""
        section = self.planes[index].section
        return None if section is None else read_section(section).T

    def valid(self, index: int) -> NDArray[np.bool_] | None:
        """Read where a section shows tissue, bool (height, width), or None where nothing says so."""
        section = self.planes[index].section
        if section is None or section.valid is None:
            return None
        return binarize_label(read_section(section.valid, section.page), section.valid).T > 0

    def _one_size(self) -> tuple[int, int]:
        files = [s for plane in self.planes for s in (plane.mask, plane.section) if s is not None]
        sizes = {file.path: (file.width, file.height) for file in files}
        first, size = next(iter(sizes.items()))
        for file, other in sizes.items():
            if other != size:
                raise ValueError(
                    f"{file}: must be of {size[0]}x{size[1]} pixels as {first}, but got {other[0]}x{other[1]}; objects "
                    "are followed through aligned sections: register the stack first"
                )
        return size[1], size[0]


def _without_doubles(masks: list[Section]) -> list[Section]:
    scored = {_name(mask.path) for mask in masks if split_suffix(mask.path)[0].endswith("_probability")}
    return [
        mask
        for mask in masks
        if not (split_suffix(mask.path)[0].endswith("_mitochondria") and _name(mask.path) in scored)
    ]


def _name(file: str) -> str:
    stem = split_suffix(file)[0]
    return next((stem.removesuffix(postfix) for postfix in POSTFIXES if stem.endswith(postfix)), stem)


def _sections_of(masks: list[Section], sections: list[Section], folder: str | Path) -> list[Section]:
    """The section of each mask: of its name, or of its page where the masks are a volume."""
    if is_volume(masks[0].path) and len({s.path for s in sections}) == 1 and len(masks) == len(sections):
        return sections
    known = {(split_suffix(section.path)[0], section.page): section for section in sections}
    return [_section_of(mask, known, folder) for mask in masks]


def _section_of(mask: Section, sections: dict[tuple[str, int], Section], folder: str | Path) -> Section:
    name = _name(mask.path)
    found = sections.get((name, mask.page), sections.get((split_suffix(mask.path)[0], mask.page)))
    if found is None:
        raise FileNotFoundError(
            f"{folder}: must hold the section of {mask.path}, '{name}' with page {mask.page}, but does not"
        )
    return found
