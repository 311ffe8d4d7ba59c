"""Comparison of groups over the objects of several stacks."""

from __future__ import annotations

import csv
import html
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.analysis.statistics import FEWEST, compare_groups
from scripts.io import require_writable, write_text
from scripts.objects.outputs import write_table

__all__ = ["compare"]

COLUMNS = ("stack", "animal", "group")
DENSITIES = ("object_density_per_um3", "profile_density_per_um2", "volume_fraction")
OBJECTS = ("volume_um3", "surface_um2", "length_um", "sphericity", "complexity_index", "branch_points")
PROFILES = ("area_um2", "perimeter_um", "circularity", "aspect_ratio", "feret_max_um", "mean_grey")
REMEDY = "export it with commas between cells and points in numbers, or make it anew by `run objects --overwrite True`"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def compare(groups: str, output: str = "comparison", seed: int = 0) -> str:
    """Compare groups of animals by the objects of their stacks.

    The animal is the unit: what is compared are means of animals, over all whole objects of all their stacks, since
    thousands of mitochondria of three animals are three. Written are ``animals.csv`` (each animal's means),
    ``comparison.csv`` (see `compare_groups`) and ``comparison.html``.

    Args:
        groups: CSV file with the columns stack, animal, group; a stack is the output folder of `run objects`, relative
            to the file.
        output: folder of the results.
        seed: of permutations and bootstrap.

    Returns:
        One line that says what was compared, and a warning where there are too few animals.

    Raises:
        ValueError: the file lacks a column, an animal is in two groups, a stack is named twice or has no pixel size, a
            table of it has no numbers where they must be, or there is only one group.
        FileNotFoundError: a stack has no results.
    """
    listed = _read_groups(Path(groups))
    require_writable(output)
    animals = _animals(listed, Path(groups))
    names = [name for name in (*DENSITIES, *OBJECTS, *PROFILES) if any(name in means for means in animals.values())]
    features: dict[str, dict[str, dict[str, float]]] = {name: defaultdict(dict) for name in names}
    for (group, animal), means in animals.items():
        for name in names:
            features[name][group][animal] = means.get(name, math.nan)
    rows = compare_groups(features, seed)
    count = {group: sum(g == group for g, _ in animals) for group in sorted({g for g, _ in animals})}
    few = [group for group, number in count.items() if number < FEWEST]
    warnings = [
        f"Too few animals to test: {group} has {count[group]}, and a test needs {FEWEST} in each group."
        for group in few
    ]
    folder = Path(output)
    table = [
        [group, animal, *(means.get(name, math.nan) for name in names)] for (group, animal), means in animals.items()
    ]
    write_table(folder / "animals.csv", ["group", "animal", *names], table)
    write_table(folder / "comparison.csv", list(rows[0]), [row.values() for row in rows])
    write_text(folder / "comparison.html", _page(features, rows, warnings, count))
    sizes = ", ".join(f"{group} ({number} animals)" for group, number in count.items())
    return "\n".join([f"{folder}: {len(names)} features of {sizes}", *warnings])


def _read_groups(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
            columns = reader.fieldnames or []
    except UnicodeDecodeError:
        raise ValueError(f"{path}: must be a CSV file in UTF-8, but is not") from None
    if missing := [name for name in COLUMNS if name not in columns]:
        raise ValueError(f"{path}: must have the columns {', '.join(COLUMNS)}, but got {', '.join(columns)}: {missing}")
    group_of: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        if not all(row[name] for name in COLUMNS):
            raise ValueError(f"{path}: line {number} must have a stack, an animal and a group, but got {row}")
        if group_of.setdefault(row["animal"], row["group"]) != row["group"]:
            raise ValueError(f"{path}: animal {row['animal']} must be of one group, but got two")
    folders = [(path.parent / row["stack"]).resolve() for row in rows]  # however they are spelt
    if twice := {row["stack"] for row, folder in zip(rows, folders, strict=True) if folders.count(folder) > 1}:
        raise ValueError(f"{path}: a stack must be named once, but got {', '.join(sorted(twice))} more often")
    if len(set(group_of.values())) < 2:
        raise ValueError(f"{path}: must name two groups or more, but got {', '.join(set(group_of.values())) or 'none'}")
    return rows


def _animals(listed: list[dict[str, str]], groups: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Means of each animal, by group and animal."""
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in listed:
        own = values.setdefault((row["group"], row["animal"]), defaultdict(list))
        folder = groups.parent / row["stack"]
        if not (folder / "summary.json").is_file():
            raise FileNotFoundError(f"{folder}: must hold the results of `run objects`, but has no summary.json")
        summary = json.loads((folder / "summary.json").read_text())
        if summary["unit"] != "um":
            raise ValueError(f"{folder}: must have been measured with a pixel size, but was without")
        for name in DENSITIES:
            own[name].append(_number(summary.get(name)))
        for table, cuts, measures in (
            ("mitochondria.csv", ("cut_by_border", "cut_by_ends"), OBJECTS),
            ("profiles.csv", ("touches_border",), PROFILES),
        ):
            for item in _rows(folder / table, (*cuts, *measures)):
                if all(item[cut] == 0 for cut in cuts):
                    for name in measures:
                        own[name].append(item[name])
    return {
        key: {name: float(np.nanmean(list_)) for name, list_ in own.items() if np.isfinite(list_).any()}
        for key, own in sorted(values.items())
    }


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, float]]:
    """Numbers in some columns of a table, row by row; NaN is empty."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: must be there beside summary.json, but is not")
    # a spreadsheet may have saved it in its own encoding, which matters to the names of files alone
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames or []
        if missing := [name for name in columns if name not in header]:
            raise ValueError(f"{path}: line 1 must have the column {missing[0]}, but got {','.join(header)}; {REMEDY}")
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(
                    f"{path}: line {reader.line_num} must have {len(header)} cells as line 1, but has not; {REMEDY}"
                )
            yield {name: _cell(row[name], f"{path}: line {reader.line_num}, column {name}") for name in columns}


def _cell(text: str, where: str) -> float:
    try:
        return _number(text)
    except ValueError:
        raise ValueError(f"{where}: must be a number, but got {text!r}; {REMEDY}") from None


def _number(value: Any) -> float:
    return math.nan if value in (None, "") else float(value)


def _page(
    features: dict[str, dict[str, dict[str, float]]],
    rows: list[dict[str, Any]],
    warnings: list[str],
    count: dict[str, int],
) -> str:
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_text(value))}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    figures = "".join(_dots(name, groups) for name, groups in features.items())
    red = "".join(f'<p class="warning">{html.escape(text)}</p>' for text in warnings)
    sizes = ", ".join(f"{group}: {number} animals" for group, number in count.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Comparison of groups</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }}
.warning {{ color: #b00020; font-weight: bold }} table {{ border-collapse: collapse; font-size: 13px }}
td, th {{ border-bottom: 1px solid #ddd; padding: .2em .6em; text-align: left }}
figure {{ display: inline-block; margin: .5em }} svg text {{ font-size: 11px; fill: #444 }}
</style></head><body><h1>Comparison of groups</h1>{red}<p>{html.escape(sizes)}. A dot is an animal, a bar the mean of
its group. p: permutation test and Welch's t test of animals' means; q: adjusted for all comparisons (Benjamini and
Hochberg); g: Hedges' g, b minus a, with the 95 % interval of a bootstrap over animals.</p>
{figures}<table><tr>{head}</tr>{body}</table></body></html>
"""


def _dots(name: str, groups: dict[str, dict[str, float]]) -> str:
    known = {group: {a: v for a, v in animals.items() if math.isfinite(v)} for group, animals in sorted(groups.items())}
    values = [value for animals in known.values() for value in animals.values()]
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    parts = []
    for place, (group, animals) in enumerate(known.items()):
        x, colour = 60 + 80 * place, COLOURS[place % len(COLOURS)]
        for offset, (animal, value) in enumerate(animals.items()):
            y = 110 - 100 * (value - low) / span
            title = f"<title>{html.escape(f'{animal}: {value:.5g}')}</title>"
            parts.append(f'<circle cx="{x - 9 + 6 * (offset % 4)}" cy="{y:.1f}" r="4" fill="{colour}">{title}</circle>')
        if animals:
            y = 110 - 100 * (float(np.mean(list(animals.values()))) - low) / span
            parts.append(f'<path d="M{x - 20} {y:.1f}h40" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{x}" y="132" text-anchor="middle">{html.escape(group)}</text>')
    axis = f'<text x="0" y="114">{low:.3g}</text><text x="0" y="14">{high:.3g}</text>'
    width = 60 + 80 * len(known)
    drawing = f'<svg width="{width}" viewBox="0 0 {width} 140">{axis}{"".join(parts)}</svg>'
    return f"<figure>{drawing}<figcaption>{html.escape(name)}</figcaption></figure>"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "not tested" if math.isnan(value) else f"{value:.4g}"
    return str(value)
