"""Names of the sections of a stack, under which their results are written and found again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from scripts.io import split_suffix

__all__ = ["location", "owner", "section_names"]


def section_names(sections: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the results of sections.

    Args:
        sections: items of `find_sections`.

    Returns:
        The stem of each file, followed by ``_<page>`` where it holds several sections.

    Raises:
        ValueError: two sections have the same name.
    """
    names: dict[str, Mapping[str, Any]] = {}
    for section in sections:
        name = split_suffix(section["image"])[0] + _page_suffix(section)
        if name in names:
            raise ValueError(f"{section['image']} and {names[name]['image']} would both be written as {name}")
        names[name] = section
    return list(names)


def location(section: Mapping[str, Any]) -> str:
    """File of a section, and its page where it has several, for messages."""
    return f"{section['image']}, page {section['page']}" if section.get("pages", 1) > 1 else section["image"]


def owner(section: Mapping[str, Any], known: Collection[str]) -> str | None:
    """Tell which section a picture belongs to.

    Args:
        section: item of `find_sections`, the picture.
        known: names of sections.

    Returns:
        The longest name that the picture has, perhaps with something appended (``<name>_mitochondria``); else None.
    """
    stem, _ = split_suffix(section["image"])
    page = _page_suffix(section)
    owners = [
        name for name in known if name.endswith(page) and f"{stem}_".startswith(f"{name[: len(name) - len(page)]}_")
    ]
    return max(owners, key=len, default=None)


def _page_suffix(section: Mapping[str, Any]) -> str:
    pages = section.get("pages", 1)
    return f"_{section['page']:0{len(str(pages - 1))}d}" if pages > 1 else ""
