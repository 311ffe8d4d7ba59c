"""One list of sections from several."""

from __future__ import annotations

import json
import os
from itertools import cycle, islice
from pathlib import Path

from scripts.data import load_sections

from .fetch import write_list

__all__ = ["combine"]

PARTS = ("training", "validation", "test")


def combine(*datalists: str, output: str) -> str:
    """Join lists of sections, so that one network can be trained on several sets.

    The sets are balanced: of a set with fewer training items than the largest, items are listed repeatedly, and as
    patches are drawn evenly from the items of a list, each set gives as many. Validation and test are not repeated.

    Args:
        *datalists: paths of the lists.
        output: folder for the new `datalist.json`, whose paths are relative to it.

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
    contents = [json.loads(path.read_text()) for path in lists]
    joined = {part: [_relative(load_sections(path, part), Path(output)) for path in lists] for part in PARTS}
    longest = max(map(len, joined["training"]))
    joined["training"] = [list(islice(cycle(items), longest)) for items in joined["training"]]
    names = [content.get("name", path.parent.name) for content, path in zip(contents, lists, strict=True)]
    new = {
        "name": " + ".join(names),
        "licence": "; ".join(f"{n}: {c.get('licence', 'not stated')}" for n, c in zip(names, contents, strict=True)),
        **{part: [item for items in sets for item in items] for part, sets in joined.items()},
    }
    path = write_list(new, Path(output))
    return f"{path}: {', '.join(f'{len(new[part])} {part}' for part in PARTS)} regions of {new['name']}"


def _relative(items: list[dict], output: Path) -> list[dict]:
    return [{**item, **{key: os.path.relpath(item[key], output) for key in ("image", "label")}} for item in items]
