"""Counts, fractions and distributions of a stack, in plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scripts.instances import count_objects, count_profiles, ends

from .columns import OBJECT_COLUMNS, PROFILE_COLUMNS
from .gathering import Gathered

if TYPE_CHECKING:
    from .analysis import ObjectAnalysis

__all__ = ["FEW", "summarize"]

FEW = 30
"""Whole objects below which distributions say little."""

PROFILE_DISTRIBUTIONS = ("area", "perimeter", "circularity", "aspect_ratio", "feret_max", "solidity", "mean_grey")
OBJECT_DISTRIBUTIONS = ("volume", "surface", "length", "sphericity", "complexity_index", "branch_points")


def summarize(analysis: ObjectAnalysis, found: Gathered, table: NDArray[np.float64]) -> dict[str, Any]:
    """Sum up an analysis.

    Args:
        analysis: its settings.
        found: its profiles.
        table: its objects, the columns of `OBJECT_COLUMNS`.

    Returns:
        What ``summary.json`` holds; what is not known is None.
    """
    stack, unit = analysis.stack, analysis.unit
    pixel_area = analysis.spacing[0] * analysis.spacing[1]
    index = {column.name: place for place, column in enumerate(OBJECT_COLUMNS)}
    whole = (table[:, index["cut_by_border"]] == 0) & (table[:, index["cut_by_ends"]] == 0)
    inside = found.table[:, 12] == 0
    counted = [
        count_profiles(found.boxes[found.offsets[i] : found.offsets[i + 1]], analysis.frame) for i in range(len(stack))
    ]
    result: dict[str, Any] = {
        "sections": len(stack),
        "missing_sections": stack.missing,
        "objects": len(table),
        "whole_objects": int(whole.sum()),
        "profiles": len(found.table),
        "unit": unit,
        "area_fraction": _ratio(found.mitochondria.sum(), found.tissue.sum()),
        f"profile_density_per_{unit}2": _ratio(sum(counted), found.frame.sum() * pixel_area),
        "counted_profiles": int(sum(counted)),
        **_density(analysis, found, pixel_area),
        "distributions": {},
        "warnings": _warnings(analysis, found, int(whole.sum())),
        "settings": analysis.settings(),
    }
    values = [(c, found.table[inside, place - 4]) for place, c in enumerate(PROFILE_COLUMNS[:-1])]
    for column, numbers in values:
        if column.name in PROFILE_DISTRIBUTIONS:
            result["distributions"][f"profile_{column.header(unit)}"] = _distribution(numbers)
    for column in OBJECT_COLUMNS:
        if column.name in OBJECT_DISTRIBUTIONS:
            result["distributions"][column.header(unit)] = _distribution(table[whole, index[column.name]])
    return result


def _density(analysis: ObjectAnalysis, found: Gathered, pixel_area: float) -> dict[str, Any]:
    """By the disector: objects that begin after a section that is looked at, per volume between the two."""
    if not analysis.volumetric or len(found.seen) < 2:
        return {"object_density_per_um3": None, "counted_objects": None, "volume_fraction": None}
    positions, section = analysis.stack.positions[found.seen], np.searchsorted(found.seen, found.section)
    looked_at = ends(positions, analysis.linker.max_gap)[0]
    count = count_objects(found.boxes, found.objects, section, analysis.frame, looked_at)
    steps = np.where(looked_at[1:], 0, np.diff(positions)) * analysis.thickness / 1000
    volume = float((found.frame[found.seen][1:] * steps).sum() * pixel_area)
    fraction = _ratio(found.mitochondria.sum(), found.tissue.sum())
    return {"object_density_per_um3": _ratio(count, volume), "counted_objects": count, "volume_fraction": fraction}


def _warnings(analysis: ObjectAnalysis, found: Gathered, whole: int) -> list[str]:
    messages = []
    if analysis.pixel_size is None:
        messages.append("The pixel size is not known: lengths and areas are in pixels. State it by --pixel_size.")
    if analysis.thickness is None:
        messages.append("The section thickness is not known: no volumes, surfaces and lengths. --section_thickness.")
    if whole < FEW:
        messages.append(f"Only {whole} objects are seen whole: their distributions say little.")
    missing = analysis.stack.missing
    if missing:
        messages.append(f"Sections are missing: {_places(missing)}.")
    empty = [int(analysis.stack.positions[i]) for i in np.flatnonzero(found.mitochondria == 0)]
    if empty:
        messages.append(f"No mitochondria in section {_places(empty)}.")
    full = [int(analysis.stack.positions[i]) for i in np.flatnonzero(found.mitochondria >= 0.9 * found.tissue)]
    full = [place for place in full if place not in empty]
    if full:
        messages.append(f"Nearly all of section {_places(full)} is labelled: check the masks.")
    return messages


def _places(sections: list[int]) -> str:
    return ", ".join(map(str, sections[:10])) + " ..." * (len(sections) > 10)


def _distribution(values: NDArray[np.float64]) -> dict[str, float | int | None]:
    values = values[np.isfinite(values)]
    if not len(values):
        return {"count": 0, "mean": None, "sd": None, "quartiles": None}
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
        "quartiles": np.quantile(values, [0.25, 0.5, 0.75]).tolist(),
    }


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
