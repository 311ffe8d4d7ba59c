"""Masks and sections of a stack, read one by one as (height, width)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from scripts.blank import blank_level
from scripts.grey_levels import tissue_mask
from scripts.io import (
    LABEL_FORMATS,
    Section,
    binarize_label,
    find_sections,
    is_volume,
    pixel_size_of,
    read_mask,
    read_section,
    section_name,
    split_suffix,
)

__all__ = ["MaskStack"]


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
            its name, without ``_mitochondria`` or ``_probability``; one of a volume, to that of its page. The order of
            the masks is that of their sections.
        threshold: probability from which on a pixel is a mitochondrion.
        label_format: of masks, one of `LABEL_FORMATS`.
        missing_sections: places in the complete stack, from 0, whose sections were lost. Sections without a mask, as
            constant ones are, count as lost without being named.
        channel: of the sections, where their files have several.

    Attributes:
        missing: places in the complete stack, from 0, that have no mask.

    Raises:
        FileNotFoundError: there are no masks, or a mask has no section.
        ValueError: sections differ in size, a setting is out of range, a header cannot be read, two masks are of one
            section, sections of two folders have one name, most sections between them have none, or they are listed in
            another order than their sections.
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
        pairs: list[tuple[Section | None, Section | None]] = [(mask, None) for mask in masks]
        if sections_dir is not None:
            pairs = _paired(masks, find_sections(sections_dir, channel), sections_dir)
            if _is_list(dataset_dir) and not _is_list(sections_dir):
                _require_order(masks, [pair for pair in pairs if pair[0] is not None], sections_dir)
        lost, position, self.planes = set(missing_sections), 0, []
        for mask, section in pairs:
            while position in lost and mask is not None:  # a section without a mask may be the lost one itself
                position += 1
            if mask is not None:
                self.planes.append(_Plane(mask, section, position))
            position += 1
        self.missing = sorted({*range(position)} - {plane.position for plane in self.planes})
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

    def blank(self, index: int) -> bool:
        """Tell whether a section shows nothing."""
        grey = self.section(index)
        return grey is not None and blank_level(grey) is not None

    @property
    def measures_tissue(self) -> bool:
        """Whether it is the grey levels of some section that tell where it shows tissue."""
        return any(plane.section is not None and plane.section.valid is None for plane in self.planes)

    def tissue(
        self, index: int, grey: NDArray | None, pixel_size: tuple[float, float] | None = None
    ) -> NDArray[np.bool_] | None:
        """Tell where a section shows tissue: where its valid mask says so, or else what inference takes for tissue.

        Args:
            index: of the section among those that are there.
            grey: what `section` gave.
            pixel_size: [x, y] in nanometres, where it is known.

        Returns:
            bool (height, width), or None where all is tissue, as without sections.
        """
        section = self.planes[index].section
        if section is None:
            return None
        if blank_level(grey) is not None:
            return np.zeros(grey.shape, bool)
        if section.valid is not None:
            return read_mask(section.valid, section.page).T
        tissue = tissue_mask(grey.T, None if pixel_size is None else float(np.sqrt(np.prod(pixel_size)))).T
        return None if tissue.all() else tissue

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
    scored = {section_name(mask.path) for mask in masks if split_suffix(mask.path)[0].endswith("_probability")}
    return [
        mask
        for mask in masks
        if not (split_suffix(mask.path)[0].endswith("_mitochondria") and section_name(mask.path) in scored)
    ]


def _is_list(source: str | Path | Sequence[str | Path]) -> bool:
    """Whether the order is one that a person gave."""
    return not isinstance(source, str | Path) or str(source).lower().endswith(".json")


def _paired(masks: list[Section], sections: list[Section], folder: str | Path) -> list[tuple[Section | None, Section]]:
    """Each section with the mask of its name, or of its page where the masks are a volume, or without one."""
    if is_volume(masks[0].path) and len({s.path for s in sections}) == 1 and len(masks) == len(sections):
        return list(zip(masks, sections, strict=True))
    known: dict[tuple[str, int], Section] = {}
    for section in sections:
        key = split_suffix(section.path)[0], section.page
        other = known.get(key, section)
        if Path(other.path).parent != Path(section.path).parent:  # in one folder it is a copy in another format
            raise ValueError(
                f"{section}: must have another name than {other}, as masks belong to sections by their names, but got "
                f"{Path(section.path).name}"
            )
        known[key] = section
    found: dict[tuple[str, int], Section] = {}
    for mask in masks:
        key = _key_of(mask, known, folder)
        if key in found:
            raise ValueError(f"{mask.path}: must be of another section than {found[key].path}, but got {known[key]}")
        found[key] = mask
    pairs = [(found.get(key), section) for key, section in known.items()]
    _require_most(pairs, folder)
    return pairs


def _require_most(pairs: list[tuple[Section | None, Section]], folder: str | Path) -> None:
    """Refuse every third section of a stack, or the like: what is not there would be taken for lost."""
    there = [place for place, (mask, _) in enumerate(pairs) if mask is not None]
    between = pairs[there[0] : there[-1] + 1]
    if 2 * len(there) < len(between):
        lacking = next(section for mask, section in between if mask is None)
        raise ValueError(
            f"{folder}: most of its sections must have masks, but got {len(there)} of {len(between)}, and none of "
            f"{lacking}; give those that were segmented as a list"
        )


def _key_of(mask: Section, sections: dict[tuple[str, int], Section], folder: str | Path) -> tuple[str, int]:
    names = section_name(mask.path), split_suffix(mask.path)[0]
    found = next(((name, mask.page) for name in names if (name, mask.page) in sections), None)
    if found is None:
        raise FileNotFoundError(
            f"{folder}: must hold the section of {mask.path}, '{names[0]}' with page {mask.page}, but does not"
        )
    return found


def _require_order(masks: list[Section], pairs: list[tuple[Section, Section]], folder: str | Path) -> None:
    """Refuse masks whose list has another order than a folder gives their sections: one of both is wrong."""
    for mask, (expected, section) in zip(masks, pairs, strict=True):
        if mask is not expected:
            raise ValueError(
                f"{mask.path}: must be listed in the place of its section in {folder}, but got that of {section}; give "
                "the sections as a list too"
            )
