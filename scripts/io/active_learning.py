"""Choice of the section to label next."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .discovery import natural

__all__ = ["select_query"]


def select_query(uncertainty: Mapping[str, float], labelled: Collection[str]) -> str:
    """Choose the section of a stack to label next: one that is uncertain, and far from those that are labelled.

    Neighbours in a stack are nearly the same tissue, and so are their uncertainties: the most uncertain sections alone
    would lie side by side, and the second would teach little. So each counts by its uncertainty times its distance to
    the nearest labelled section, in sections of the naturally sorted names.

    Args:
        uncertainty: of the sections without a label, by their names, at least 0; not empty.
        labelled: names of those with a label.

    Returns:
        The name of the section.
    """
    order = {name: index for index, name in enumerate(sorted({*uncertainty, *labelled}, key=natural))}
    places = [order[name] for name in labelled]

    def gain(name: str) -> float:
        return uncertainty[name] * min((abs(order[name] - place) for place in places), default=1)

    return max(sorted(uncertainty, key=natural), key=gain)
