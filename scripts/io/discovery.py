"""Finding of the sections to segment."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .datalist import ListedImage, aligned_order, listed_images, valid_mask
from .formats import FORMATS, is_volume, section_name, split_suffix
from .pixel_size import say_doubts
from .reading import check_channel, read_header
from .section import Section

__all__ = ["find_sections", "natural"]

logger = logging.getLogger(__name__)


def find_sections(
    source: str | Path | Sequence[str | Path], channel: int | None = None, results: bool = True
) -> list[Section]:
    """List the sections to segment.

    Args:
        source: a folder (all files of a supported format in it), a glob pattern, one file, a volume in OME-Zarr, a list
            of sections (.json, every image of all its parts, whole), or a sequence of files.
        channel: which to read where files have several, from 0; None where each has one.
        results: whether results that this bundle wrote are listed too.

    Returns:
        The sections, in the order of the list, or in natural order of the files (results in that of their sections, and
        aligned sections in the order in which they were registered) and then of their pages, with a pixel size where a
        list or the file states one, and with `valid`, the path of a mask, where a list names or a registration left one
        (see `valid_mask`).

    Raises:
        FileNotFoundError: the folder or a file does not exist, or nothing matches.
        ValueError: a file's header cannot be read or its format is not supported, it has several channels and none is
            chosen, or has not the one that is, a list states two pixel sizes or names two masks for one file, a mask
            has another size than its section, or a file lies among aligned sections of which it is none.
    """
    listed = isinstance(source, str | Path) and str(source).lower().endswith(".json")
    images = listed_images(Path(source)) if listed else {}
    files = list(images) if listed else _image_files(source)
    sections, left_out = [], []
    for file in files:
        path = os.path.abspath(file)
        header = read_header(path)
        if header.result and not results:
            left_out.append(file)
            continue
        if channel is not None and (type(channel) is not int or channel < 0):
            raise ValueError(f"channel must be a whole number from 0, but got {channel!r}")
        check_channel(header, channel)
        if header.only_channel not in (None, channel):
            continue
        said = images.get(file, ListedImage())
        stated = said.pixel_size_nm is not None
        size = tuple(said.pixel_size_nm) if stated else header.pixel_size_nm
        first = Section(header, 0, channel, size, stated, valid=valid_mask(header, said.valid))
        sections += [replace(first, page=page) for page in range(header.pages)]
    if left_out:
        logger.warning(
            "%d files are results that this bundle wrote, and are no sections: %s%s",
            len(left_out),
            left_out[0],
            " and others" if len(left_out) > 1 else "",
        )
    if not sections:
        also = f"; its {len(left_out)} files are results of this bundle, and not sections" if left_out else ""
        raise FileNotFoundError(f"{source}: no sections found; supported formats are {', '.join(FORMATS)}{also}")
    say_doubts(sections)
    return sections


def _image_files(source: str | Path | Sequence[str | Path]) -> list[str]:
    if not isinstance(source, str | Path):
        return [str(file) for file in source]
    source = str(source)
    if os.path.isdir(source):
        # hidden files are what a file system or a viewer leaves behind; a link to nowhere is named when it is read
        if is_volume(source):
            return [source]
        entries = [path for path in Path(source).iterdir() if not path.is_dir() or is_volume(path)]
        entries = [path for path in entries if not path.name.startswith(".")]
        return _in_order([str(path) for path in entries if path.name.lower().endswith(FORMATS)])
    if not os.path.lexists(source) and glob.has_magic(source):
        return _in_order(
            [
                file
                for file in glob.glob(_with_literal_folders(source), recursive=True)
                if not os.path.isdir(file) or is_volume(file)
            ]
        )
    if not os.path.lexists(source):
        raise FileNotFoundError(f"{source}: no such file or folder")
    return [source]


def _with_literal_folders(pattern: str) -> str:
    """Escape folders that exist: in ``raw[1]/*.tif`` the one of that name is meant, and not ``raw1``."""
    folder = os.path.dirname(pattern)
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return glob.escape(folder) + pattern[len(folder) :]


def _in_order(files: list[str]) -> list[str]:
    """Sort files, and leave out those that another one describes: ``a_1.ser`` is read through ``a.emi``."""
    described = {file[:-4].lower() for file in files if file.lower().endswith(".emi")}
    kept = [file for file in files if re.sub(r"_\d+\.ser$", "", file.lower()) not in described]
    return _as_registered(sorted(kept, key=_place))


def _place(file: str) -> tuple[list[str | int], list[str | int]]:
    """Make a key that sorts a result as its section: else ``a_mitochondria`` comes after ``a_1_mitochondria``."""
    own = file
    if file.lower().endswith(FORMATS):
        own = os.path.join(os.path.dirname(file), section_name(file) + split_suffix(file)[1])
    return natural(own), natural(file)


def _as_registered(files: list[str]) -> list[str]:
    """Put aligned sections into the order of their stack, where a registration has left it."""
    folders = {os.path.dirname(file) for file in files}
    order = aligned_order(folders.pop()) if len(folders) == 1 else None
    if order is None or order == sorted(order, key=natural):
        return files
    places = {name: place for place, name in enumerate(order)}
    for file in files:
        if os.path.basename(file) not in places:
            raise ValueError(
                f"{file}: must be one of the aligned sections beside it, whose order sections.json above them holds, "
                "but is not; take it away, or give a list of sections"
            )
    return sorted(files, key=lambda file: places[os.path.basename(file)])


def natural(name: str) -> list[str | int]:
    """Make a key that sorts section 9 before section 10.

    Args:
        name: of a section or a file.

    Returns:
        Text and numbers by turns, and the name itself, so that no two names are equal.
    """
    # every second part is a run of digits; superscripts and fractions are not, though str.isdigit says so of some
    runs = re.split(r"(\d+)", name)
    return [int(run) if i % 2 else run.lower() for i, run in enumerate(runs)] + ([0] if len(runs) % 2 else []) + [name]
