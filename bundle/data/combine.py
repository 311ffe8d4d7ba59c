"""One list of sections from several."""

from __future__ import annotations

import json
import os
from itertools import cycle, islice
from pathlib import Path

from scripts.data import load_sections

from .fetch import write_list

__all__ = ["combine", "merged"]

PARTS = ("training", "validation", "test")
FILES = {"image", "label", "valid"}


def combine(*datalists: str, output: str, refit: bool = False) -> str:
    """Join lists of sections, so that one network can be trained on several sets.

    The sets are balanced: of a set with fewer training items than the largest, items are listed repeatedly, and as
    patches are drawn evenly from the items of a list, each set gives as many. Validation and test are not repeated.

    Args:
        *datalists: paths of the lists.
        output: folder for the new `datalist.json`, whose paths are relative to it.
        refit: whether the training part takes in the validation part, for the last training, when all choices are made.
            Regions of a section that lie side by side become one. What is then said of validation means nothing.

    Returns:
        What was written.

    Raises:
        ValueError: fewer than two lists are given, or one cannot be read.
        FileNotFoundError: a list or one of its files does not exist.
        FileExistsError: `output` holds another `datalist.json`.
        OSError: the list cannot be written.
    """
    if len(datalists) < 2:
        raise ValueError("combine needs the paths of at least two lists of sections")
    lists = [Path(datalist) for datalist in datalists]
    joined = {part: [_relative(load_sections(path, part), Path(output).resolve()) for path in lists] for part in PARTS}
    contents = [json.loads(path.read_text()) for path in lists]
    if refit:
        pairs = zip(joined["training"], joined["validation"], strict=True)
        joined["training"] = [merged(training + validation) for training, validation in pairs]
    longest = max(map(len, joined["training"]))
    joined["training"] = [list(islice(cycle(items), longest)) for items in joined["training"]]
    names = [content.get("name", path.parent.name) for content, path in zip(contents, lists, strict=True)]
    new = {
        "name": " + ".join(names),
        "refit": refit,
        "licence": "; ".join(f"{n}: {c.get('licence', 'not stated')}" for n, c in zip(names, contents, strict=True)),
        **{part: [item for items in sets for item in items] for part, sets in joined.items()},
    }
    path = write_list(new, Path(output))
    return f"{path}: {', '.join(f'{len(new[part])} {part}' for part in PARTS)} regions of {new['name']}"


def merged(items: list[dict]) -> list[dict]:
    """Make one item of those whose regions together are a rectangle of the same section.

    Args:
        items: of a list of sections.

    Returns:
        The items, in the order of their sections.
    """
    sections: dict[tuple, list[dict]] = {}
    for item in items:
        sections.setdefault((item["image"], item["page"]), []).append(item)
    merged = []
    for parts in sections.values():
        regions = [part["region"] for part in parts if "region" in part]
        if len(regions) == len(parts) > 1:
            lefts, tops, rights, bottoms = zip(*regions, strict=True)
            left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
            if (right - left) * (bottom - top) == sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in regions):
                parts = [{**parts[0], "region": [left, top, right, bottom]}]
        merged += parts
    return merged


def _relative(items: list[dict], output: Path) -> list[dict]:
    return [{**item, **{key: os.path.relpath(item[key], output) for key in FILES & item.keys()}} for item in items]
