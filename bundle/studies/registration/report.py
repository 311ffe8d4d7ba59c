"""Tables of the figures of the registration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .folded_pair import BESIDE

__all__ = ["markdown"]

Figures = Any
"""Of one part, as JSON holds them."""


def markdown(figures: dict[str, Any]) -> str:
    """Draw up the tables.

    Args:
        figures: what `evaluate_registration` writes to ``registration.json``.

    Returns:
        Markdown, a chapter for each part.
    """
    blocks = []
    for part, (title, lines) in PARTS.items():
        if part in figures:
            entry = figures[part]
            made = f"`python -m bundle evaluate_registration`, commit {entry['commit']}, {entry['machine']}"
            blocks.append("\n".join([f"## {title}", "", *lines(entry["figures"]), "", made, ""]))
    return "\n".join(blocks)


def _phantoms(rows: Figures) -> list[str]:
    tissues = len({row["tissue"] for row in rows})
    table = []
    for fold in (False, True):
        for neighbour in ("the same section", "the section before"):
            chosen = [row for row in rows if row["folded"] == fold and row["neighbour"] == neighbour]
            for method in dict.fromkeys(row["method"] for row in chosen):
                its = [row for row in chosen if row["method"] == method]
                cells = [_mean_and_worst([row[key] for row in its]) for key in ("far", "near")]
                table.append(["with a fold" if fold else "smooth", neighbour, method, *cells])
    return [
        f"Known deformations of {tissues} phantom tissues: distance in pixels between recovered and true position. "
        "Median over pixels, mean over the tissues (worst of them).",
        "",
        *_table(["deformation", "registered with", "method", "away from folds", "within 30 pixels"], table),
    ]


def _folded_pair(figures: Figures) -> list[str]:
    keys = ("residual", "residual_beside_fold", "correlation", "patches")
    table = [[row["method"], row["side"], *(_number(row[key]) for key in keys)] for row in figures["rows"]]
    return [
        "What patches of 64 pixels have still to move to fit best, in pixels (median); beside the fold: those "
        f"within {BESIDE} pixels of it.",
        "",
        *_table(["method", "side", "left over", "beside the fold", "correlation", "patches"], table),
        "",
        f"The fold that was found has a Jaccard index of {figures['fold_jaccard']:.2f} with the given mask.",
    ]


def _vnc(figures: Figures) -> list[str]:
    table = []
    for kind, name in (("plain", "as it is"), ("warped", "warped")):
        for when in ("before", "after"):
            failed = str(figures[kind]["not_registered"]) if when == "after" else ""
            fit = figures[kind][when]
            table.append([f"{name}, {when}", failed, f"{fit['offset']:.1f}", f"{fit['correlation']:.3f}"])
    sections = figures["recovered_by_section"]
    return [
        f"{figures['sections']} sections, each moved by {figures['displacement']:.0f} pixels in the median: the "
        "registration brings them to where it brings the same sections unwarped to "
        f"{figures['recovered']:.2f} pixels in the median (sections: {min(sections):.2f} to {max(sections):.2f}), and "
        f"to their original frames to {figures['to_original_frames']:.2f}.",
        "",
        *_table(["stack", "not registered", "offset to the section before, pixels", "correlation with it"], table),
    ]


def _segmentation(rows: Figures) -> list[str]:
    keys = ("direct_and_warped", "direct_and_truth", "warped_and_truth")
    table = [[row["section"], *(f"{row[key]:.3f}" for key in keys)] for row in rows]
    return _table(["section", "direct and warped back", "direct and truth", "warped back and truth"], table)


PARTS: dict[str, tuple[str, Callable[[Figures], list[str]]]] = {
    "phantoms": ("Phantoms", _phantoms),
    "folded": ("Real folded pair", _folded_pair),
    "vnc": ("Drosophila VNC", _vnc),
    "segmentation": ("Segmentation, Jaccard index", _segmentation),
}
"""Title of each part, and what draws it up."""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return [lines[0], "| --- " * len(header) + "|", *lines[1:]]


def _mean_and_worst(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.2f} ({max(known):.2f})" if known else ""


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"
