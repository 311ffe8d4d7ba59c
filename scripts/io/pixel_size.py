"""The size of a pixel: in nanometres, as [x, y]."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .section import Section

__all__ = [
    "NANOMETRES",
    "believed",
    "check_pixel_sizes",
    "parse_pixel_size",
    "parse_section_thickness",
    "pixel_size_of",
    "same_pixel_size",
    "say_doubts",
    "with_pixel_size",
]

logger = logging.getLogger(__name__)

SMALLEST, LARGEST = 0.1, 1000.0
"""Nanometres; what lies outside was meant in another unit."""

UNCALIBRATED = {0.1: "angstrom", 1000.0: "micrometre"}
"""Nanometres of units of which programs write one a pixel where nothing is known."""

SINGLE = 1e-6
"""By which numbers may differ that files hold in single precision, as a share."""

THINNEST, THICKEST = 1, 1000
"""Nanometres between two sections."""

MOST_ANISOTROPIC = 8.0
"""Of the two sides; beyond, one of them is the distance of sections."""

TOLERANCE = 0.01
"""By which two statements of one pixel size may differ, as a share."""

NANOMETRES = {
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-3),
    **dict.fromkeys(("\u00e5", "\u212b", "angstrom", "\u00e5ngstr\u00f6m", "ang"), 0.1),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1.0),
    **dict.fromkeys(("\u00b5m", "\u03bcm", "um", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre"), 1e7),
    **dict.fromkeys(("inch", "inches", "in"), 2.54e7),
    **dict.fromkeys(("m", "meter", "meters", "metre"), 1e9),
}
"""How many are in a unit, by the names that files use for it, in lower case."""


def believed(x: float, y: float, origin: str) -> tuple[tuple[float, float] | None, str | None]:
    """Judge the pixel size that a file states: the resolution of a print or of a screen is none.

    Neither is one angstrom, which MRC has where nothing is known, nor one micrometre, which ImageJ and NIfTI have.

    Args:
        x: nanometres along x.
        y: nanometres along y.
        origin: where the file states it, such as a tag.

    Returns:
        Nanometres (x, y), or None, and then what is doubted.
    """
    try:
        size = [float(x), float(y)]
        for length, name in UNCALIBRATED.items():
            if all(math.isclose(side, length, rel_tol=SINGLE) for side in size):
                raise ValueError(f"{origin}: a pixel size of 1 {name} is what programs write where they know none")
        return tuple(parse_pixel_size(size, origin)), None
    except (ValueError, OverflowError) as error:
        return None, str(error)


def parse_pixel_size(value: Any, where: str) -> list[float]:
    """Check a pixel size that a person or a file states.

    Args:
        value: nanometres, one number for square pixels or [x, y].
        where: what an error calls its origin, such as a list and its entry.

    Returns:
        [x, y] in nanometres.

    Raises:
        ValueError: it is no such thing, or lies beyond any electron microscope's.
    """
    pair = list(value) if isinstance(value, list | tuple) else [value, value]
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, int | float) for v in pair):
        raise ValueError(f"{where}: a pixel size is a number of nanometres or [x, y], but got {value!r}")
    if not all(math.isfinite(v) and SMALLEST <= v <= LARGEST for v in pair):
        raise ValueError(
            f"{where}: a pixel size of {value!r} nm is out of range; expected nanometres from {SMALLEST} to {LARGEST}"
        )
    if max(pair) > MOST_ANISOTROPIC * min(pair):
        raise ValueError(
            f"{where}: pixels of {pair[0]} x {pair[1]} nm are too oblong; expected the two sides of a pixel within a "
            "section"
        )
    return [float(v) for v in pair]


def parse_section_thickness(value: Any) -> float | None:
    """Check a distance of two sections that a person or a file states.

    Args:
        value: nanometres, or None where it is not known.

    Returns:
        The value.

    Raises:
        ValueError: it is no number of nanometres from 1 to 1000.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and THINNEST <= value <= THICKEST):
        raise ValueError(f"section_thickness must be nanometres from {THINNEST} to {THICKEST}, but got {value!r}")
    return value


def pixel_size_of(
    section: Mapping[str, Any], pixel_size: Any = None, default: float | None = None
) -> list[float] | None:
    """Choose what is taken for the pixel size of a section.

    Args:
        section: item of `load_sections` or `find_sections`; it may hold a `pixel_size_nm`.
        pixel_size: what the user states, or None. It comes first.
        default: what is assumed where nothing is known.

    Returns:
        [x, y] in nanometres, or None.

    Raises:
        ValueError: see `parse_pixel_size`.
    """
    if pixel_size is not None:
        return parse_pixel_size(pixel_size, "pixel_size")
    if section.get("pixel_size_nm") is not None:
        return parse_pixel_size(section["pixel_size_nm"], str(section.get("image", "a section")))
    return None if default is None else parse_pixel_size(default, "the assumed pixel size")


def check_pixel_sizes(sections: Sequence[Mapping[str, Any]], pixel_size: Any, default: float) -> None:
    """Refuse pixel sizes that contradict each other, and say so where none is known.

    Args:
        sections: items of `load_sections` or `find_sections`.
        pixel_size: what the user states for all of them, or None. It comes before what files say of themselves, and
            must agree with a list.
        default: what is assumed where none is known, in nanometres.

    Raises:
        ValueError: a pixel size is out of range, the user's is not that of a list, one file has two, or it is known of
            some sections only.
    """
    known: dict[str, list[float]] = {}
    for section in sections:
        own = section.get("pixel_size_nm")
        if own is None:
            continue
        image = str(section["image"])
        own = parse_pixel_size(own, image)
        if not same_pixel_size(known.setdefault(image, own), own):
            raise ValueError(f"{image}: its pixels are {_text(known[image])} in one place and {_text(own)} in another")
    if pixel_size is not None:
        _compare(sections, parse_pixel_size(pixel_size, "pixel_size"))
        return
    missing = [section for section in sections if section.get("pixel_size_nm") is None]
    if missing:
        if len(missing) < len(sections):
            raise ValueError(
                f"{missing[0]['image']}: its pixel size is not known, that of other sections is; state it as "
                "`pixel_size_nm` in the list"
            )
        logger.warning(
            "The pixel size of the sections is not known: they are taken as they are, as if pixels were %g nm. "
            "State it in nanometres by `--pixel_size`; `python -m bundle pixel_size` estimates it",
            default,
        )


def with_pixel_size(sections: Sequence[Section], pixel_size: Any) -> list[Section]:
    """Give sections the pixel size that the user states.

    Args:
        sections: of `find_sections`.
        pixel_size: nanometres, one number or [x, y], or None. It comes before what files say of themselves, and must
            agree with a list.

    Returns:
        The sections; they are as they were where none is stated.

    Raises:
        ValueError: the pixel size is out of range, or not that of a list.
    """
    if pixel_size is None:
        return list(sections)
    stated = parse_pixel_size(pixel_size, "pixel_size")
    _compare(sections, stated)
    return [replace(section, pixel_size_nm=tuple(stated), pixel_size_stated=True) for section in sections]


def say_doubts(sections: Sequence[Section]) -> None:
    """Say once which pixel sizes in files are not believed.

    Args:
        sections: as they were listed.
    """
    doubted = {s.path: s.header.doubt for s in sections if s.header.doubt is not None and s.pixel_size_nm is None}
    if doubted:
        path, doubt = next(iter(doubted.items()))
        others = f" (and {len(doubted) - 1} other files)" if len(doubted) > 1 else ""
        logger.warning("%s%s: its pixel size is not believed: %s", path, others, doubt)


def same_pixel_size(one: Sequence[float], other: Sequence[float]) -> bool:
    """Compare two pixel sizes, [x, y] in nanometres, but for what formats round off."""
    return all(math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(one, other, strict=True))


def _compare(sections: Sequence[Mapping[str, Any]], stated: Sequence[float]) -> None:
    """Refuse a pixel size that is not that of a list, and say where a file has another one."""
    other = None
    for section in sections:
        own = section.get("pixel_size_nm")
        if own is None or same_pixel_size(stated, own := parse_pixel_size(own, str(section["image"]))):
            continue
        if getattr(section, "pixel_size_stated", True):
            raise ValueError(
                f"{section['image']}: its list says that pixels are {_text(own)}, --pixel_size says {_text(stated)}; "
                "correct one, or leave --pixel_size out"
            )
        other = other or (section["image"], own)
    if other is not None:
        logger.warning("%s: says that its pixels are %s; --pixel_size comes first", other[0], _text(other[1]))


def _text(size: Sequence[float]) -> str:
    return f"{size[0]:g} nm" if size[0] == size[1] else f"{size[0]:g} x {size[1]:g} nm"
