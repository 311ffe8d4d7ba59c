"""NRRD files, with their header attached or detached (.nhdr), by ITK."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np

from .formats import MARK, Reader
from .pixel_size import NANOMETRES, believed
from .section import Header

__all__ = ["NRRDReader", "open_file", "pixel_files", "write"]


CODES = {
    name: code
    for kind, pair in (("char", "bB"), ("short", "hH"), ("int", "iI"), ("long", "lL"), ("long_long", "qQ"))
    for name, code in zip((kind, f"unsigned_{kind}"), pair, strict=True)
}
"""Integers of C, as ITK and as NumPy name them."""


class NRRDReader(Reader):
    """An NRRD volume, whose slowest axis is that of the sections; ITK reads it whole."""

    def __init__(self, path: str) -> None:
        io = itk.ImageIOFactory.CreateImageIO(path, itk.CommonEnums.IOFileMode_ReadMode)
        if io is None:
            raise ValueError("no reader recognises its content")
        io.SetFileName(path)
        io.ReadImageInformation()
        dimensions = io.GetNumberOfDimensions()
        shape = [io.GetDimensions(axis) for axis in range(dimensions)]
        if dimensions not in (2, 3):
            raise ValueError(f"has {dimensions} dimensions, sections need 2 and stacks 3")
        axes = range(dimensions)
        direction = np.array([io.GetDirection(axis) for axis in axes]).T
        spacing, origin = ([get(axis) for axis in axes] for get in (io.GetSpacing, io.GetOrigin))
        fields = _fields(path)
        with np.errstate(over="ignore", invalid="ignore"):
            extent = np.linalg.det(direction * spacing)
        if extent == 0 or np.isnan(extent):
            raise ValueError(f"its axes must span {dimensions} dimensions, but got spacings of {spacing}")
        # ITK writes no spacings below 0, which turn an axis round
        direction, spacing = direction * np.sign(spacing), [abs(length) for length in spacing]
        size, doubt = _pixel_size(fields, spacing)
        affine = np.eye(4)
        affine[:dimensions, :dimensions] = direction * spacing
        affine[:dimensions, 3] = origin
        self._path, self._volume = path, None
        self.header = Header(
            path,
            int(shape[0]),
            int(shape[1]),
            int(np.prod(shape[2:], dtype=int)),
            dtype=_dtype(io),
            pixel_size_nm=size,
            doubt=doubt,
            # ITK's axes point to the left and posterior
            affine=tuple(map(tuple, (np.diag([-1, -1, 1, 1]) @ affine).tolist())),
            form={
                "spacing": spacing,
                "origin": origin,
                "direction": direction.tolist(),
                "units": _units(fields, dimensions),
                "of_a_body": _of_a_body(fields),
            },
            result=fields.get("software") == MARK,
        )

    def read(self, page: int, channel: int | None = None) -> np.ndarray:
        """Read one section; see `Reader`."""
        if self._volume is None:
            self._volume = itk.array_from_image(itk.imread(self._path))
        header = self.header
        return self._volume.reshape(header.pages, header.height, header.width, -1)[page]


def open_file(path: str) -> Reader:
    """Open an NRRD file."""
    return NRRDReader(path)


def pixel_files(path: str) -> list[str]:
    """Name the file of the pixels, where the header lies in one of its own."""
    fields = _fields(path)
    name = fields.get("data file", fields.get("datafile"))
    return [] if name is None else [str(Path(path).parent / name)]


def write(
    path: Path, pages: Sequence[np.ndarray], like: Header | None, pixel_size_nm: Sequence[float] | None, result: bool
) -> None:
    """Write an NRRD file; see `scripts.io.writing`.

    Raises:
        OSError: what was written is not what should have been: ITK says nothing of a full disk.
    """
    volume = np.stack(list(pages))
    if len(volume) == 1 and (like is None or len(like.form["spacing"]) == 2):
        volume = volume[0]
    form = _form(like, pixel_size_nm, volume.ndim)
    image = itk.image_from_array(np.ascontiguousarray(volume))
    if form is not None:
        image.SetSpacing(form["spacing"])
        image.SetOrigin(form["origin"])
        image.SetDirection(itk.matrix_from_array(np.array(form["direction"])))
    if result:
        image.GetMetaDataDictionary()["Software"] = MARK
    itk.imwrite(image, str(path), compression=True)
    if form is not None:
        _state_units(path, form["units"], form.get("of_a_body", False))
    try:
        whole = np.array_equal(itk.array_from_image(itk.imread(str(path))), volume)
    except RuntimeError:
        whole = False
    if not whole:
        raise OSError("what was written cannot be read again; the disk may be full")


def _form(like: Header | None, pixel_size_nm: Sequence[float] | None, dimensions: int) -> Mapping[str, Any] | None:
    """The form of the section, but for a pixel size that is not its file's own."""
    if like is None and pixel_size_nm is not None:
        step, unit = ([1.0], [""]) if dimensions == 3 else ([], [])  # that of sections is not known
        spacing, units = [*pixel_size_nm, *step], ["nm", "nm", *unit]
        direction = np.eye(dimensions).tolist()
        return {"spacing": spacing, "origin": [0.0] * dimensions, "direction": direction, "units": units}
    if like is None or like.states(pixel_size_nm):
        return None if like is None else like.form
    form = like.form
    known = NANOMETRES.get(next(iter(form["units"]), "mm" if form["of_a_body"] else "").strip().lower())
    spacing = [length / (known or 1.0) for length in pixel_size_nm]
    # lengths without a unit are in that of the pixels
    share = 1.0 if known else spacing[0] / form["spacing"][0]
    return {
        **form,
        "spacing": spacing + [share * length for length in form["spacing"][2:]],
        "origin": [share * length for length in form["origin"]],
        "units": form["units"] if known else ["nm"] * len(form["spacing"]),
    }


def _state_units(path: Path, units: Sequence[str], of_a_body: bool) -> None:
    """Say in which unit the spacings of a file are: ITK leaves it out, and says of all volumes that they are of a body.

    Args:
        path: of the file, with its header attached.
        units: of the axes, none where they are not known.
        of_a_body: whether the axes have directions of a body, whose unit is the millimetre.
    """
    header, end, pixels = path.read_bytes().partition(b"\n\n")
    lines = header.decode("utf-8").split("\n")
    place = next(i for i, line in enumerate(lines) if line.startswith("space directions:"))
    axes = lines[place].count("(")
    if len(units) >= axes:
        lines.insert(place + 1, "space units: " + " ".join(f'"{unit}"' for unit in units[:axes]))
    elif not of_a_body:
        lines = [f"space dimension: {axes}" if line.startswith("space:") else line for line in lines]
    path.write_bytes("\n".join(lines).encode("utf-8") + end + pixels)


def _dtype(io: itk.ImageIOBase) -> str:
    """The pixel type as NumPy names it, from ITK's ``unsigned_short``."""
    kind = io.GetComponentTypeAsString(io.GetComponentType())
    return np.dtype({"float": "f", "double": "d"}.get(kind) or CODES[kind]).name


def _fields(path: str) -> dict[str, str]:
    """The text at the beginning of the file, by the names of its fields in lower case."""
    with open(path, "rb") as file:
        lines = [
            line.decode("utf-8", "replace") for line in itertools.takewhile(lambda line: line.strip(b"\r\n"), file)
        ]
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if value and not line.startswith("#"):
            fields[name.strip().lower()] = value.lstrip("=").strip()
    return fields


def _units(fields: dict[str, str], dimensions: int) -> list[str]:
    """Of the axes, as far as they are named; none where the spacings themselves are not known, of which ITK says 1."""
    spacings = fields.get("spacings", fields.get("space directions", "")).lower().split()
    # an axis of colours, which comes first, has no spacing either
    if not spacings or "nan" in spacings[-dimensions:][:2]:
        return []
    return re.findall(r'"([^"]*)"', fields.get("space units", fields.get("units", "")))


def _of_a_body(fields: dict[str, str]) -> bool:
    return re.search(r"left|right|[lr][ap]s", fields.get("space", ""), re.IGNORECASE) is not None


def _pixel_size(fields: dict[str, str], spacing: Sequence[float]) -> tuple[tuple[float, float] | None, str | None]:
    """The spacing in the unit that the file names; where it has axes of a body, its unit is the millimetre."""
    units = _units(fields, len(spacing)) or ["mm", "mm"] * _of_a_body(fields)
    factors = [NANOMETRES.get(unit.strip().lower()) for unit in units[:2]]
    if len(factors) < 2 or None in factors:
        return None, None
    return believed(spacing[0] * factors[0], spacing[1] * factors[1], "spacings")
