"""Whether lists of sections hold the same tissue, where they have to be apart."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from scripts.io import read_header

__all__ = ["find_overlap", "overlapping", "refuse_overlap", "region_of"]

Item = Mapping[str, Any]


def region_of(item: Item) -> tuple[int, int, int, int]:
    """Give the region of an item, all of the section where it names none.

    Args:
        item: of a list of sections.

    Returns:
        Left, top, right and bottom, the last two exclusive.
    """
    if "region" in item:
        return tuple(item["region"])
    info = read_header(item["image"])
    return 0, 0, info.width, info.height


def overlapping(one: Sequence[int], other: Sequence[int]) -> bool:
    """Tell whether two regions share pixels.

    Args:
        one: left, top, right and bottom, the last two exclusive.
        other: likewise.

    Returns:
        Whether they do.
    """
    (l0, t0, r0, b0), (l1, t1, r1, b1) = one, other
    return max(l0, l1) < min(r0, r1) and max(t0, t1) < min(b0, b1)


def find_overlap(items: Sequence[Item], others: Sequence[Item]) -> tuple[Item, Item] | None:
    """Look for pixels that two lists of sections share, by whatever path they name the file.

    Args:
        items: of one list.
        others: of another list.

    Returns:
        The first item of each that has pixels of the other, or None.
    """
    sections: dict[tuple, list[Item]] = {}
    for other in others:
        sections.setdefault(_section(other), []).append(other)
    for item in items:
        for other in sections.get(_section(item), ()):
            if overlapping(region_of(item), region_of(other)):
                return item, other
    return None


def refuse_overlap(items: Sequence[Item], others: Sequence[Item], use: str, use_of_others: str) -> None:
    """Refuse what would be used twice.

    Args:
        items: of one list.
        others: of another list.
        use: what the items are for, such as "training".
        use_of_others: what the others are for, such as "test".

    Raises:
        ValueError: an item of one list has pixels of the other.
    """
    if (found := find_overlap(items, others)) is not None:
        item, other = found
        raise ValueError(
            f"{item['image']}: region {list(region_of(item))} would be for {use}, and its part in "
            f"{list(region_of(other))} for {use_of_others}"
        )


def _section(item: Item) -> tuple[str, int]:
    return os.path.realpath(item["image"]), item["page"]
