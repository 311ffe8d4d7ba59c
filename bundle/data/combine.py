"""Sets of sections: their checks, and one list from several."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from scripts.io import LABEL_FORMATS, check_sections, load_sections, read_list

from .epfl import LICENCE as EPFL_LICENCE
from .fetch import check_files, check_terms, write_list
from .overlap import overlapping, refuse_overlap, region_of
from .sbem import SBEM
from .small import SMALL
from .vnc import VNC

__all__ = ["check_choice", "check_set", "check_sets", "combine", "merged", "read_parts", "set_weights"]

PARTS = ("training", "validation", "test")
FILES = ("image", "label", "known", "valid")

PUBLIC = {VNC.datalist["name"]: VNC, SBEM.datalist["name"]: SBEM, **SMALL}
TERMS = {name: public_set.datalist for name, public_set in PUBLIC.items()}
TERMS["epfl_hippocampus"] = {"name": "epfl_hippocampus", "licence": EPFL_LICENCE}


def check_set(data: str | Path, *parts: str) -> Path:
    """Read all sections of a set, before hours are spent on it.

    Args:
        data: folder with a `datalist.json`.
        *parts: which parts are needed.

    Returns:
        The absolute folder.

    Raises:
        ValueError: a part is missing or a file damaged.
        FileNotFoundError: a file is missing.
    """
    for part in parts:
        check_sections(load_sections(Path(data) / "datalist.json", part))
    return Path(data).resolve()


def check_choice(folder: str | Path, part: str = "validation") -> None:
    """Refuse a set whose part can decide nothing, since it was trained on: that of `combine` with `refit`.

    Args:
        folder: with a `datalist.json`.
        part: that a choice is to be made on.

    Raises:
        ValueError: the training part holds the validation part.
    """
    if part == "validation" and read_list(Path(folder) / "datalist.json").get("refit"):
        raise ValueError(f"{folder}: its training part holds its validation part, which can decide nothing")


def check_sets(*data: str | Path, part: str | None = None) -> list[Path]:
    """Read all sections of a part of several sets, which are named by their folders.

    Args:
        *data: folders with a `datalist.json`.
        part: that is needed of each; without one no section is read.

    Returns:
        The absolute folders.

    Raises:
        ValueError: there is no set, two have one name, a part is missing or a file damaged.
        FileNotFoundError: a file is missing.
    """
    if not data:
        raise ValueError("name the folder of at least one set")
    folders = [check_set(folder, *([part] if part else [])) for folder in data]
    if len({folder.name for folder in folders}) < len(folders):
        raise ValueError(f"sets are named by their folders, which must differ: {', '.join(map(str, data))}")
    return folders


def combine(*datalists: str, output: str, weights: Sequence[float] | None = None, refit: bool = False) -> str:
    """Join lists of sections, so that one network can be trained on several sets.

    Patches are drawn from a training item in proportion to its `weight` in the new list, which is the weight of its set
    times the item's share of the set: its share of the area, or of the weights that the set's own list states. So sets
    of one weight give as many patches, however many sections each has. The weights are scaled to a mean of 1.

    Args:
        *datalists: paths of the lists. One that has no validation or test part joins with those that it has.
        output: folder for the new `datalist.json`, whose paths are relative to it.
        weights: of the sets, one positive number for each list, such as `--weights 1,1,0.5`; all 1 by default.
        refit: whether the training part takes in the validation part, for the last training, when all choices are made.
            Regions of a section that lie side by side become one. What is then said of validation means nothing.

    Returns:
        What was written.

    Raises:
        ValueError: fewer than two lists are given, one cannot be read or has no training part, the weights do not fit
            the lists, a section would be trained on and tested, one list validates on what another trains on, or a
            public set has other terms or files than published.
        FileNotFoundError: a list or one of its files does not exist.
        FileExistsError: `output` holds another `datalist.json`.
        OSError: the list cannot be written.
    """
    if len(datalists) < 2:
        raise ValueError("combine needs the paths of at least two lists of sections")
    lists = [Path(datalist) for datalist in datalists]
    shares = set_weights(weights, lists)
    sets = [read_parts(path) for path in lists]
    contents = [read_list(path) for path in lists]
    for path, content in zip(lists, contents, strict=True):
        _check_public(path, content)
    joined = {"training": [], "validation": [], "test": []}
    for parts, content, share in zip(sets, contents, shares, strict=True):
        stated = any("weight" in item for item in content["training"])
        if refit:
            validation = _weighed(parts, content) if stated else parts["validation"]
            parts["training"] = merged(parts["training"] + validation)
        sizes = [item["weight"] if stated else _area(item) for item in parts["training"]]
        parts["training"] = [
            {**item, "weight": share * size / sum(sizes)} for item, size in zip(parts["training"], sizes, strict=True)
        ]
        for part in PARTS:
            joined[part] += parts[part]
    for part in PARTS[:2]:
        refuse_overlap(joined[part], joined["test"], part, "test")
    if not refit:
        _refuse_trained(sets)
    mean = math.fsum(item["weight"] for item in joined["training"]) / len(joined["training"])
    names = [content.get("name", path.parent.name) for content, path in zip(contents, lists, strict=True)]
    new = {
        "name": " + ".join(names),
        "refit": refit,
        "licence": "; ".join(f"{n}: {c.get('licence', 'not stated')}" for n, c in zip(names, contents, strict=True)),
        "set_weights": shares,
        "training": [_entry(item, Path(output), float(f"{item['weight'] / mean:.6g}")) for item in joined["training"]],
        "validation": [_entry(item, Path(output)) for item in joined["validation"]],
        "test": [_entry(item, Path(output)) for item in joined["test"]],
    }
    path = write_list(new, Path(output))
    return f"{path}: {', '.join(f'{len(new[part])} {part}' for part in PARTS)} regions of {new['name']}"


def read_parts(datalist: Path) -> dict[str, list[dict]]:
    """Read all parts of a list; only the training part has to be there.

    Args:
        datalist: the list.

    Returns:
        The items of "training", "validation" and "test"; none of a part that the list lacks.

    Raises:
        FileNotFoundError: see `scripts.io.load_sections`.
        ValueError: see `scripts.io.load_sections`.
    """
    parts = {"training": load_sections(datalist, "training")}
    content = read_list(datalist)
    for part in PARTS[1:]:
        parts[part] = load_sections(datalist, part) if content.get(part) else []
    return parts


def merged(items: list[dict]) -> list[dict]:
    """Make one item of those whose regions together are a rectangle of the same section.

    Only items that say the same of it in all else, such as their label and what of it is known, become one; so does an
    item that is there twice.

    Args:
        items: of a list of sections.

    Returns:
        The items, in the order of their sections. The weight of one is the sum of those that it is made of.
    """
    sections: dict[tuple, dict[str, dict[str, list[dict]]]] = {}
    for item in items:
        alike = json.dumps({key: item[key] for key in item if key not in ("region", "weight")}, sort_keys=True)
        regions = sections.setdefault((item["image"], item["page"]), {}).setdefault(alike, {})
        regions.setdefault(json.dumps(item.get("region")), []).append(item)
    merged = []
    for section in sections.values():
        for regions in section.values():
            parts = [_as_one(same, same[0].get("region")) for same in regions.values()]
            whole = _tiled([part["region"] for part in parts if "region" in part])
            merged += parts if whole is None else [_as_one(parts, whole)]
    return merged


def _as_one(parts: list[dict], region: Sequence[int] | None) -> dict:
    if len(parts) == 1:
        return parts[0]
    item = {**parts[0], "weight": math.fsum(part["weight"] for part in parts)}
    return item if region is None else {**item, "region": list(region)}


def _tiled(regions: list[Sequence[int]]) -> list[int] | None:
    """The rectangle that regions fill without a gap and without an overlap, if they do."""
    if len(regions) < 2 or any(overlapping(one, other) for one, other in combinations(regions, 2)):
        return None
    lefts, tops, rights, bottoms = zip(*regions, strict=True)
    left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
    area = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in regions)
    return [left, top, right, bottom] if (right - left) * (bottom - top) == area else None


def set_weights(weights: Any, lists: Sequence[Path]) -> list[float]:
    """Check the weights of sets.

    Args:
        weights: one positive number for each list, or None.
        lists: of the sets.

    Returns:
        The weights, all 1 where none are given.

    Raises:
        ValueError: they are too few, too many, or no positive numbers.
    """
    if weights is None:
        return [1.0] * len(lists)
    values = list(weights) if isinstance(weights, list | tuple) else [weights]
    if len(values) != len(lists):
        raise ValueError(f"weights must hold one number for each of the {len(lists)} lists, but got {weights!r}")
    for path, value in zip(lists, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"{path}: the weight of a set must be a positive number, but got {value!r}")
    return [float(value) for value in values]


def _check_public(path: Path, content: dict) -> None:
    """Refuse what goes by the name of a public set and has other terms or files, since weights inherit its terms."""
    name = content.get("name")
    if name in TERMS:
        check_terms(path, content, TERMS[name])
    if name in PUBLIC:
        check_files(PUBLIC[name], path.parent)


def _area(item: dict) -> float:
    """Area of an item in square nanometres, or in pixels where their size is not known."""
    left, top, right, bottom = region_of(item)
    size = item.get("pixel_size_nm", 1)
    x, y = size if isinstance(size, list) else (size, size)
    return (right - left) * x * (bottom - top) * y


def _weighed(parts: dict[str, list[dict]], content: dict) -> list[dict]:
    """Give validation items without a weight of their own that of the training part by area, not the default of 1."""
    items = parts["training"]
    density = math.fsum(item["weight"] for item in items) / math.fsum(map(_area, items))
    return [
        item if "weight" in entry else {**item, "weight": density * _area(item)}
        for item, entry in zip(parts["validation"], content.get("validation") or [], strict=True)
    ]


def _refuse_trained(sets: list[dict[str, list[dict]]]) -> None:
    """Refuse what one list validates on and another trains on; a list by itself may do so, as that of a fine-tuning."""
    for parts in sets:
        others = [item for other in sets if other is not parts for item in other["training"]]
        refuse_overlap(parts["validation"], others, "validation", "training")


def _entry(item: dict, output: Path, weight: float | None = None) -> dict:
    """Write an item for a list in another folder."""
    entry = {key: os.path.relpath(item[key], output.resolve()) for key in FILES if key in item}
    entry |= {key: value for key, value in item.items() if key not in {*FILES, "weight", "pages"}}
    if entry["label_format"] == LABEL_FORMATS[0]:
        del entry["label_format"]
    return entry if weight is None else {**entry, "weight": weight}
