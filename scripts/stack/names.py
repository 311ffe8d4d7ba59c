"""Names of the sections of a stack, under which their results are written and found again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from scripts.io import Section, split_suffix

__all__ = ["owner", "plane_owner", "section_names"]


def section_names(sections: Sequence[Section]) -> list[str]:
    """Name the results of sections.

    Args:
        sections: of `find_sections`.

    Returns:
        The stem of each file, followed by ``_<page>`` where it holds several sections.

    Raises:
        ValueError: two sections have the same name.
    """
    names: dict[str, Section] = {}
    for section in sections:
        name = split_suffix(section.path)[0] + _page_suffix(section)
        if name in names:
            raise ValueError(f"{section.path} and {names[name].path} would both be written as {name}")
        names[name] = section
    return list(names)


def owner(section: Section, known: Collection[str]) -> str | None:
    """Tell which section a picture belongs to.

    Args:
        section: of `find_sections`, the picture.
        known: names of sections.

    Returns:
        The longest name that the picture has, perhaps with something appended (``<name>_mitochondria``); else None.
    """
    stem, _ = split_suffix(section.path)
    page = _page_suffix(section)
    owners = [
        name for name in known if name.endswith(page) and f"{stem}_".startswith(f"{name[: len(name) - len(page)]}_")
    ]
    return max(owners, key=len, default=None)


def plane_owner(section: Section, planes: Sequence[str], volume: str) -> tuple[str, str] | None:
    """Tell which section a plane of a mask belongs to, where the aligned sections are planes of a volume.

    Args:
        section: of `find_sections`, the mask: named as the volume, perhaps with something appended
            (``images_mitochondria.tif``), or labels in it.
        planes: names of the sections in the volume, in its order.
        volume: file name of the volume.

    Returns:
        The name of its section, and that with what is appended to the volume's (``<name>_mitochondria``); None where
        the mask is none of the volume.
    """
    stem, own = split_suffix(section.path)[0], split_suffix(volume)[0]
    if volume in Path(section.path).parts[:-1]:
        stem = f"{own}_{stem}"
    if section.pages != len(planes) or not f"{stem}_".startswith(f"{own}_"):
        return None
    name = planes[section.page]
    return name, name + stem.removeprefix(own)


def _page_suffix(section: Section) -> str:
    return f"_{section.page:0{len(str(section.pages - 1))}d}" if section.pages > 1 else ""
