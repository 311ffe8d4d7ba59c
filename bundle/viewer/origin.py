"""Which stack a project belongs to: the folder that is its own, and the files that its labels were made on."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.io import Section, is_volume

__all__ = ["choose_folder", "default_folder", "files_of", "read_record", "require_own", "require_same"]

RECORD, LABELS = "project.json", "labels.zarr"
"""Either of them tells a folder that the viewer made."""
WHOLE = r"\*(\.\w+)*"
"""A pattern of all files in a folder."""


def default_folder(source: str | Path) -> Path:
    """Choose the folder of what is made of a stack: beside it, or beside the folder that a pattern begins with.

    Args:
        source: folder, pattern, file or volume.

    Returns:
        ``stack_napari`` for ``stack``, ``stack.tif`` and ``stack/*.tif``, which is the whole of it;
        ``stack_a%2A.tif_napari`` for ``stack/a*.tif``: another one for each pattern.
    """
    path = Path(source).absolute()
    if os.path.lexists(path) or not glob.has_magic(str(path)):
        return path.with_name(f"{path.name if path.is_dir() and not is_volume(path) else path.stem}_napari")
    folder = next(parent for parent in path.parents if parent.is_dir() or not glob.has_magic(str(parent)))
    pattern = str(path.relative_to(folder))
    if re.fullmatch(WHOLE, pattern):
        return folder.with_name(f"{folder.name}_napari")
    escaped = re.sub(r"[*?\[\]/%]", lambda found: f"%{ord(found[0]):02X}", pattern)
    return folder.with_name(f"{folder.name}_{escaped}_napari")


def choose_folder(source: str | Path) -> Path:
    """Choose `default_folder`, or that of version 0.10, which all patterns of a folder shared, if it is of this stack.

    Args:
        source: see `default_folder`.

    Returns:
        The folder.

    Raises:
        ValueError: the record of that version is damaged.
    """
    own, path = default_folder(source), Path(source).absolute()
    path = path.parent if any(c in path.name for c in "*?[") else path
    former = path.with_name(f"{path.name if path.is_dir() and path.suffix != '.zarr' else path.stem}_napari")
    if former == own or (own / RECORD).exists():
        return own
    known = read_record(former / RECORD, {})
    return former if "sections" in known and _same_name(known["sections"], source) else own


def read_record(path: Path, default: Any) -> Any:
    """Read what was kept.

    Args:
        path: file in JSON.
        default: what is given where there is none.

    Returns:
        Its content.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return json.loads(path.read_text()) if path.exists() else default
    except ValueError as error:
        raise ValueError(f"{path}: is damaged ({error}); remove it") from None


def require_own(folder: Path) -> None:
    """Refuse a folder that holds what others made: masks and segmented sections in it are written over.

    Args:
        folder: of a project, which need not be there.

    Raises:
        ValueError: it holds something, and is none that the viewer made.
    """
    if not folder.is_dir() or (folder / RECORD).exists() or (folder / LABELS).exists():
        return
    held = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if held:
        raise ValueError(
            f"{folder}: must be a new folder, an empty one, or one that this viewer made, but got one that holds "
            f"{held[0]}; name another by --output_dir"
        )


def files_of(sections: Sequence[Section]) -> list[list[str | int]]:
    """Give what is kept of the sections: path and page of each."""
    return [[section.path, section.page] for section in sections]


def require_same(folder: Path, known: Mapping[str, Any], source: str, sections: Sequence[Section]) -> None:
    """Refuse sections that the labels in a folder were not made on.

    A stack may have been moved: it is another one where its files have other names, or those of before are still there.

    Args:
        folder: of the project.
        known: its record; that of version 0.10 has the source alone.
        source: of the sections, as it is stated.
        sections: of the stack.

    Raises:
        ValueError: they are others.
    """
    if "files" in known:
        then, now = known["files"], files_of(sections)
        differ = (i for i, (a, b) in enumerate(zip(_names(then), _names(now), strict=False)) if a != b)
        place = next(differ, None)
        if place is None and len(then) != len(now):
            wrong = f"must be {len(then)} sections, but got {len(now)}"
        elif place is None and _same_file(then[0][0], now[0][0]):
            return
        else:
            first, other = ("{}, page {}".format(*files[place or 0]) for files in (then, now))
            wrong = f"section {place or 0} must be {first}, but got {other}"
    elif "sections" not in known or _same_name(known["sections"], source):
        return
    else:
        wrong = f"must be {known['sections']}, but got {source}"
    raise ValueError(
        f"{folder}: holds what was made of other sections: {wrong}. Open those, or keep what you make of these "
        f"elsewhere, by --output_dir; if they were only copied or renamed, remove 'sections' and 'files' from {RECORD} "
        "there"
    )


def _names(files: Sequence[Sequence[Any]]) -> list[tuple[str, int]]:
    """Names and pages, with the folders that tell them apart: the same where the whole stack was moved."""
    home = os.path.commonpath({os.path.dirname(path) for path, _ in files})
    return [(os.path.relpath(path, home), page) for path, page in files]


def _same_file(then: str, now: str) -> bool:
    return not os.path.exists(then) or os.path.samefile(then, now)


def _same_name(then: str, now: str | Path) -> bool:
    """Whether two sources have one name, or pattern; the folder above may have been moved, or stated from elsewhere."""
    one, other = Path(then).absolute(), Path(now).absolute()
    return one.name == other.name or _whole(one).name == _whole(other).name


def _whole(path: Path) -> Path:
    """The source, or the folder of which a pattern is the whole."""
    return path.parent if re.fullmatch(WHOLE, path.name) else path
