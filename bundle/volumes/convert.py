"""Stacks of sections to OME-Zarr, and back."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scripts.io import (
    Section,
    content_state,
    find_sections,
    is_volume,
    naming,
    parse_pixel_size,
    parse_section_thickness,
    read_header,
    read_mask,
    read_section,
    require_writable,
    write_json,
    write_section,
)
from scripts.io.own_labels import require_no_labels_of_others
from scripts.io.volume import Volume

__all__ = ["convert"]

logger = logging.getLogger(__name__)


def convert(
    source: str,
    output: str,
    pixel_size: float | list[float] | None = None,
    section_thickness: float | None = None,
    version: str = "0.5",
    channel: int | None = None,
    overwrite: bool = False,
) -> str:
    """Write a stack as an OME-Zarr volume, or as TIFF files, one section at a time.

    An interrupted conversion goes on when it is called again. Where a registration left masks of where the sections
    are valid, an output named `images.zarr` or `images` gets them beside it, as `valid.zarr` or `valid`, where they are
    found by whatever reads the sections; any other output has none, with a warning.

    Args:
        source: the sections: a folder, a glob pattern, one stack, a list of sections, or a volume.
        output: a folder named `*.zarr` for a volume, any other for a TIFF of each section.
        pixel_size: in nanometres, one number or [x, y]; where the files do not state it, or state it wrongly.
        section_thickness: in nanometres.
        version: of OME-Zarr, "0.5", or "0.4" for programs that do not know it yet.
        channel: which to take where files have several, from 0.
        overwrite: whether to replace what another conversion left.

    Returns:
        What was written.

    Raises:
        ValueError: sections differ in size, pixel type or pixel size, or an argument is out of its range.
        FileExistsError: the output holds something else.
        OSError: a section cannot be read, or the output not be written.
    """
    sections = find_sections(source, channel)
    parse_section_thickness(section_thickness)
    sizes = (
        {s.pixel_size_nm for s in sections}
        if pixel_size is None
        else {tuple(parse_pixel_size(pixel_size, "pixel_size"))}
    )
    if len(sizes) > 1:
        raise ValueError(
            f"{source}: sections must have one pixel size, but got {sorted(map(str, sizes))}; state it by --pixel_size"
        )
    size = sizes.pop()
    sections = [replace(section, pixel_size_nm=size) for section in sections]
    thickness = section_thickness or sections[0].header.form.get("section_thickness_nm")
    _require_alike(sections)
    wanted = {
        "source": [[Path(p).name, *content_state(p)] for p in dict.fromkeys(s.path for s in sections)],
        "sections": len(sections),
        "channel": channel,
        "voxel_size_nm": [thickness, *([None, None] if size is None else size[::-1])],
        "version": version,
    }
    wanted = json.loads(json.dumps(wanted))
    target = Path(output)
    _require_apart(source, sections, target)
    _require_no_stray_masks(sections, target)
    if _names_volume(target):
        marked = {"result": True, "average": False} if sections[0].header.result else {}
        _begin_volume(sections, target, wanted, overwrite, dtype=sections[0].dtype, **marked)
        _write_valid(sections, target, wanted, overwrite)
        _fill_volume(sections, target, lambda section: read_section(section).T)
    else:
        _begin_files(sections, target, wanted, overwrite)
        _write_valid(sections, target, wanted, overwrite)
        _fill_files(sections, target)
    known = "unknown pixel size" if size is None else f"pixels of {size[0]:g} x {size[1]:g} nm"
    return f"{output}: {len(sections)} sections of {sections[0].width}x{sections[0].height}, {known}"


def _names_volume(target: Path) -> bool:
    return target.suffix.lower() == ".zarr"


def _require_apart(source: str, sections: list[Section], target: Path) -> None:
    """Refuse an output among the sections, where the next command would take both for sections."""
    folder = target.resolve()
    if any(Path(section.path).resolve() == folder for section in sections):
        raise ValueError(f"{target}: the output must be another one than what is converted; choose another --output")
    if _names_volume(target):
        if is_volume(source) or not Path(source).is_dir():  # a file, a volume or a pattern does not name it too
            return
        folder = folder.parent
    among = next((section.path for section in sections if Path(section.path).resolve().parent == folder), None)
    if among is not None:
        raise ValueError(f"{target}: the output must not lie beside the section {among}; choose another --output")


def _require_alike(sections: list[Section]) -> None:
    first = sections[0]
    for section in sections:
        if (section.width, section.height) != (first.width, first.height):
            raise ValueError(
                f"{section.path}: must be of {first.width}x{first.height} pixels as {first.path}, but got "
                f"{section.width}x{section.height}; a volume has sections of one size: register the stack first"
            )
        if section.dtype != first.dtype:
            raise ValueError(
                f"{section.path}: must have pixels of {first.dtype} as {first.path}, but got {section.dtype}"
            )


def _write_valid(sections: list[Section], target: Path, wanted: dict[str, Any], overwrite: bool) -> None:
    """Write where sections are valid, if that is known; the sections come later, so that none is read without it."""
    files = list(dict.fromkeys(section.valid for section in sections if section.valid is not None))
    masks = _valid_beside(target)
    if not files:
        return
    if masks is None:
        logger.warning(
            "%s: has no masks of where its sections are valid, since only those of an output named images.zarr or "
            "images are found; those of the source, such as %s, are left out",
            target,
            files[0],
        )
        return
    wanted = {**wanted, "source": [[Path(file).name, *content_state(file)] for file in files]}
    if masks.suffix == ".zarr":
        _begin_volume(sections, masks, wanted, overwrite, dtype="uint8", result=True, average=False)
        _fill_volume(sections, masks, lambda section: _valid(section).T)
    else:
        _begin_files(sections, masks, wanted, overwrite, ".png")
        _fill_files(sections, masks, ".png")


def _valid_beside(target: Path) -> Path | None:
    """Where masks of a volume, or of a folder, are looked for by `scripts.io.find_sections`."""
    return {"images.zarr": target.with_name("valid.zarr"), "images": target.with_name("valid")}.get(target.name)


def _require_no_stray_masks(sections: list[Section], target: Path) -> None:
    """Refuse masks that would be taken for those of sections that have none."""
    masks = _valid_beside(target)
    if masks is None or any(section.valid is not None for section in sections):
        return
    stray = masks if masks.suffix else _file_names(masks, 1, ".png")[0]
    if stray.exists() and read_header(stray).result:  # no others are found
        raise FileExistsError(
            f"{stray}: must be of the sections in {target}, but is not: they have no valid masks; take it away, or "
            "choose another --output"
        )


def _valid(section: Section) -> NDArray[np.uint8]:
    """255 where a section is valid, (width, height)."""
    if section.valid is None:
        return np.full((section.width, section.height), 255, np.uint8)
    return np.where(read_mask(section.valid, section.page), np.uint8(255), np.uint8(0))


def _begin_volume(
    sections: list[Section], target: Path, wanted: dict[str, Any], overwrite: bool, dtype: str, **options: Any
) -> None:
    if target.exists():
        try:
            there = Volume(target)
            found = there.own().get("conversion")
        except (OSError, ValueError, KeyError):
            raise FileExistsError(f"{target}: is no volume of this bundle; choose another --output") from None
        if found != wanted or there.levels[0].dtype != dtype:
            if not overwrite:
                raise FileExistsError(f"{target}: is of other sections or settings; replace it by --overwrite True")
            require_no_labels_of_others(target)
            shutil.rmtree(target)
    if not target.exists():
        require_writable(target.parent)
        shape = (len(sections), sections[0].height, sections[0].width)
        version, size = wanted["version"], wanted["voxel_size_nm"]
        Volume.create(target, shape, dtype, size, version, conversion=wanted, written=0, **options)


def _fill_volume(sections: list[Section], target: Path, read: Callable[[Section], NDArray]) -> None:
    volume = Volume(target)
    if volume.own()["complete"]:
        return
    done = volume.own()["written"]
    for page in tqdm(range(done, len(sections)), desc="converting", unit="section", initial=done, total=len(sections)):
        pixels = read(sections[page])
        with naming(f"{target}: section {page}"):
            volume.write(page, pixels)
            volume.note(written=page + 1)
    volume.complete()


def _begin_files(
    sections: list[Section], target: Path, wanted: dict[str, Any], overwrite: bool, suffix: str = ".tif"
) -> None:
    require_writable(target)
    note = target / ".conversion.json"
    found = json.loads(note.read_text()) if note.is_file() else None
    names = _file_names(target, len(sections), suffix)
    if found != wanted:
        earlier = names if found is None else _file_names(target, found["sections"], suffix)
        present = next((name for name in earlier if name.exists()), None)
        if present is not None and (found is None or not overwrite):
            remedy = "choose another --output" if found is None else "replace it by --overwrite True"
            raise FileExistsError(f"{present}: is of other sections or settings; {remedy}")
        for name in earlier:
            name.unlink(missing_ok=True)
        write_json(note, wanted)


def _fill_files(sections: list[Section], target: Path, suffix: str = ".tif") -> None:
    """Write what is lacking: sections as TIFF, or as PNG where they are valid."""
    names = _file_names(target, len(sections), suffix)
    for section, name in zip(tqdm(sections, desc="converting", unit="section"), names, strict=True):
        if suffix == ".png":
            if not name.exists():
                write_section(name, _valid(section), result=True)
        # what an earlier version left may state the size of the source in place of the one that is wanted
        elif not name.exists() or not read_header(name).states(section.pixel_size_nm):
            write_section(name, read_section(section), like=section)


def _file_names(folder: Path, count: int, suffix: str = ".tif") -> list[Path]:
    return [folder / f"section_{page:05d}{suffix}" for page in range(count)]
