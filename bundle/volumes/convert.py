"""Stacks of sections to OME-Zarr, and back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scripts.io import (
    Section,
    file_state,
    find_sections,
    naming,
    parse_pixel_size,
    parse_section_thickness,
    read_header,
    read_section,
    require_writable,
    write_json,
    write_section,
)
from scripts.io.volume import Volume

__all__ = ["convert"]


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

    An interrupted conversion goes on when it is called again.

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
        "source": [[Path(p).name, *file_state(p)[2:]] for p in dict.fromkeys(s.path for s in sections)],
        "sections": len(sections),
        "channel": channel,
        "voxel_size_nm": [thickness, *([None, None] if size is None else size[::-1])],
        "version": version,
    }
    wanted = json.loads(json.dumps(wanted))
    target = Path(output)
    if target.suffix == ".zarr":
        _to_volume(sections, target, wanted, overwrite)
    else:
        _to_files(sections, target, wanted, overwrite)
    known = "unknown pixel size" if size is None else f"pixels of {size[0]:g} x {size[1]:g} nm"
    return f"{output}: {len(sections)} sections of {sections[0].width}x{sections[0].height}, {known}"


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


def _to_volume(sections: list[Section], target: Path, wanted: dict[str, Any], overwrite: bool) -> None:
    first = sections[0]
    if target.exists():
        try:
            there = Volume(target)
            found = there.own().get("conversion")
        except (OSError, ValueError, KeyError):
            raise FileExistsError(f"{target}: is no volume of this bundle; choose another --output") from None
        if found != wanted or there.levels[0].dtype != first.dtype:
            if not overwrite:
                raise FileExistsError(f"{target}: is of other sections or settings; replace it by --overwrite True")
            shutil.rmtree(target)
    if not target.exists():
        require_writable(target.parent)
        shape = (len(sections), first.height, first.width)
        result = {"result": True, "average": False} if first.header.result else {}
        version, size = wanted["version"], wanted["voxel_size_nm"]
        Volume.create(target, shape, first.dtype, size, version, conversion=wanted, written=0, **result)
    volume = Volume(target)
    if volume.own()["complete"]:
        return
    done = volume.own()["written"]
    for page in tqdm(range(done, len(sections)), desc="converting", unit="section", initial=done, total=len(sections)):
        pixels = read_section(sections[page]).T
        with naming(f"{target}: section {page}"):
            volume.write(page, pixels)
            volume.note(written=page + 1)
    volume.complete()


def _to_files(sections: list[Section], target: Path, wanted: dict[str, Any], overwrite: bool) -> None:
    require_writable(target)
    note = target / ".conversion.json"
    found = json.loads(note.read_text()) if note.is_file() else None
    names = _file_names(target, len(sections))
    if found != wanted:
        earlier = names if found is None else _file_names(target, found["sections"])
        present = next((name for name in earlier if name.exists()), None)
        if present is not None and (found is None or not overwrite):
            remedy = "choose another --output" if found is None else "replace it by --overwrite True"
            raise FileExistsError(f"{present}: is of other sections or settings; {remedy}")
        for name in earlier:
            name.unlink(missing_ok=True)
        write_json(note, wanted)
    for section, name in zip(tqdm(sections, desc="converting", unit="section"), names, strict=True):
        # what an earlier version left may state the size of the source in place of the one that is wanted
        if not name.exists() or not read_header(name).states(section.pixel_size_nm):
            write_section(name, read_section(section), like=section)


def _file_names(folder: Path, count: int) -> list[Path]:
    return [folder / f"section_{page:05d}.tif" for page in range(count)]
