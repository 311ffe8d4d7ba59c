"""What TIFF files say beside their pixels: resolution, and the descriptions of ImageJ, OME and microscopes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from .pixel_size import NANOMETRES, believed
from .section import Affine, Header

__all__ = ["channels_of_pages", "form_of", "options_like", "pixel_size_of_tiff", "place_of"]

UNITS = {2: 2.54e7, 3: 1e7, 4: 1e6, 5: 1e3}
"""Nanometres in what ResolutionUnit counts: inch, centimetre, millimetre, micrometre; 1 is no unit."""


def pixel_size_of_tiff(tiff: tifffile.TiffFile) -> tuple[tuple[float, float] | None, str | None]:
    """Read the pixel size from the most telling of what a file has.

    Args:
        tiff: the open file.

    Returns:
        Nanometres (x, y), or None, and then what is doubted, if there was anything.
    """
    page = tiff.pages[0]
    for find in (_from_ome, _from_microscope):
        found = None
        with contextlib.suppress(Exception):  # a description that nobody can parse says nothing
            found = find(tiff)
        if found is not None:
            return believed(*found)
    resolution = _resolution(page)
    if resolution is None:
        written = page.tags.get("XResolution")
        return None, None if written is None else f"XResolution: {written.value!r} is no resolution"
    unit = _imagej_unit(tiff)
    length = NANOMETRES.get(unit.lower()) if unit else UNITS.get(_resolution_unit(page))
    if length is None:
        return None, None
    return believed(*(length / per for per in resolution), f"unit {unit}" if unit else "XResolution")


def place_of(page: tifffile.TiffPage) -> Affine:
    """Say where a picture lies, as ITK has it: by the resolution in millimetres.

    Args:
        page: the first of the file.

    Returns:
        See `Header`.
    """
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    resolution, unit = _resolution(page), _resolution_unit(page)
    if resolution is not None and unit in (2, 3):
        affine[0, 0], affine[1, 1] = (-UNITS[unit] / 1e6 / per for per in resolution)
    return tuple(map(tuple, affine.tolist()))


def form_of(tiff: tifffile.TiffFile, size: tuple[float, float] | None) -> dict[str, Any]:
    """Gather what a result takes over.

    Args:
        tiff: the open file.
        size: the pixel size that was believed.

    Returns:
        See `options_like`.
    """
    form: dict[str, Any] = {}
    if size is not None and (tiff.is_fei or tiff.is_sem or tiff.is_sis):
        # these tags are not written; the resolution says the same
        form["resolution"], form["resolutionunit"] = tuple(1e7 / length for length in size), 3
    elif _resolution(tiff.pages[0]) is not None:
        tags = tiff.pages[0].tags
        form["resolution"] = tuple(tags[name].value for name in ("XResolution", "YResolution"))
        form["resolutionunit"] = _resolution_unit(tiff.pages[0])
    if tiff.is_imagej:
        described = tiff.imagej_metadata or {}
        unit = described.get("unit")
        # as ImageJ itself writes it, which knows no characters beyond ASCII
        unit = None if unit is None else str(unit).replace("\u00b5", "\\u00B5").encode("ascii", "replace").decode()
        # a unit without a resolution would say that a pixel is one of it
        kept = {"unit": unit if "resolution" in form else None, "spacing": described.get("spacing")}
        form["imagej"] = {key: value for key, value in kept.items() if value is not None}
    if tiff.is_ome:
        with contextlib.suppress(ElementTree.ParseError):
            form["ome"] = _physical_sizes(_ome_pixels(tiff))
    return form


def options_like(
    like: Header | None, pixel_size_nm: Sequence[float] | None, pages: int, dtype: np.dtype, large: bool
) -> dict[str, Any]:
    """Say how a result is written so that it has the pixel size of its section, in the same form.

    Args:
        like: header of the section, if it is a TIFF too.
        pixel_size_nm: nanometres (x, y) that are used, where known; it comes before what the header says.
        pages: of the result.
        dtype: of the result.
        large: whether it is a BigTIFF.

    Returns:
        Arguments of `tifffile.imwrite`.
    """
    axes = {"axes": "YX" if pages == 1 else "ZYX"}
    form: Mapping[str, Any] = {} if like is None else like.form
    if like is not None and not like.states(pixel_size_nm):
        form = _restated(form, *pixel_size_nm)
    as_imagej = "imagej" in form and not large and dtype.name in ("uint8", "uint16", "float32")
    if form.get("imagej") and not as_imagej and pixel_size_nm is not None:
        form = {}  # the resolution would be without its unit
    options: dict[str, Any] = {"metadata": axes}
    if "resolution" in form:
        options |= {"resolution": form["resolution"], "resolutionunit": form["resolutionunit"]}
    elif pixel_size_nm is not None:
        options |= {"resolution": tuple(1e7 / length for length in pixel_size_nm), "resolutionunit": 3}
    if form.get("ome"):
        options |= {"ome": True, "metadata": axes | form["ome"]}
    elif form.get("imagej") and as_imagej:
        options |= {"imagej": True, "metadata": axes | form["imagej"]}
    return options


def _restated(form: Mapping[str, Any], x: float, y: float) -> dict[str, Any]:
    """A form with another pixel size, in nanometres; what it says of the third axis may be as wrong, and goes."""
    if "ome" in form:
        sizes = {"PhysicalSizeX": x, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": y, "PhysicalSizeYUnit": "nm"}
        return {"resolution": (1e7 / x, 1e7 / y), "resolutionunit": 3, "ome": sizes}
    if "imagej" in form:
        return {"resolution": (1 / x, 1 / y), "resolutionunit": 1, "imagej": {"unit": "nm"}}
    return {}


def channels_of_pages(tiff: tifffile.TiffFile) -> tuple[int, list[int]]:
    """Read which channel each page of one file of an OME-TIFF in several files shows.

    Args:
        tiff: the open file.

    Returns:
        How many channels all the files have together, and the channels from 0 by the number of the page; 1 and none
        where the file is none of several, or there is one channel.

    Raises:
        ValueError: there are several channels, and the description does not say which of them the pages are.
    """
    if not tiff.is_ome or tiff.series[0].kind == "ome":
        return 1, []
    try:
        pixels = _ome_pixels(tiff)
        count = int(pixels.get("SizeC", 1))
    except (ElementTree.ParseError, AttributeError, ValueError):
        return 1, []
    if count == 1:
        return 1, []
    own = ElementTree.fromstring(tiff.pages[0].description).get("UUID")
    channels: dict[int, int] = {}
    name = Path(tiff.filename).name
    for data in (child for child in pixels if child.tag.endswith("TiffData")):
        file = next((child for child in data if child.tag.endswith("UUID")), None)
        if file is not None and (file.get("FileName") == name or (own and file.text == own)):
            first = int(data.get("IFD", 0))
            if int(data.get("PlaneCount", 1)) > 1 and not pixels.get("DimensionOrder", "").startswith("XYC"):
                channels |= {first + i: int(data.get("FirstC", 0)) for i in range(int(data.get("PlaneCount", 1)))}
            else:
                planes = range(int(data.get("PlaneCount", 1)))
                channels |= {first + i: (int(data.get("FirstC", 0)) + i) % count for i in planes}
    if sorted(channels) != list(range(len(tiff.pages))):
        raise ValueError(
            f"it is one file of several with {count} channels, and does not say which its pages are; save each channel "
            "as a file"
        )
    return count, [channels[number] for number in range(len(tiff.pages))]


def _resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Pixels per unit, (x, y), if the tags hold numbers above 0."""
    values = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        value = None if tag is None else tag.value
        if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) and v > 0 for v in value):
            values.append(value[0] / value[1])
    return tuple(values) if len(values) == 2 else None


def _resolution_unit(page: tifffile.TiffPage) -> int:
    tag = page.tags.get("ResolutionUnit")
    try:
        unit = 2 if tag is None else int(tag.value)  # inches are the default of the standard
    except (TypeError, ValueError):
        return 1
    return unit if unit in UNITS else 1


def _imagej_unit(tiff: tifffile.TiffFile) -> str | None:
    unit = (tiff.imagej_metadata or {}).get("unit") if tiff.is_imagej else None
    return None if unit is None else str(unit).replace("\\u00B5", "\u00b5").strip()


def _ome_pixels(tiff: tifffile.TiffFile) -> ElementTree.Element | None:
    root = ElementTree.fromstring(tiff.pages[0].description)
    return next((element for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"), None)


def _physical_sizes(pixels: ElementTree.Element | None) -> dict[str, float | str]:
    """Lengths that a description states, with their units; those that are no lengths are left out."""
    sizes: dict[str, float | str] = {}
    for name in ("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ"):
        length = None if pixels is None else _positive(pixels.get(name))
        if length is not None:
            unit = pixels.get(f"{name}Unit")
            sizes |= {name: length, **({} if unit is None else {f"{name}Unit": unit})}
    return sizes


def _positive(text: str | None) -> float | None:
    """A length, None where the text is none, such as one with the comma of some languages."""
    try:
        length = float(text or "")
    except ValueError:
        return None
    return length if 0 < length < math.inf else None


def _from_ome(tiff: tifffile.TiffFile) -> tuple[float, float, str] | None:
    pixels = _ome_pixels(tiff) if tiff.is_ome else None
    if pixels is None or pixels.get("PhysicalSizeX") is None or pixels.get("PhysicalSizeY") is None:
        return None
    sides = [
        float(pixels.get(f"PhysicalSize{axis}")) * NANOMETRES[pixels.get(f"PhysicalSize{axis}Unit", "um").lower()]
        for axis in "XY"
    ]
    return sides[0], sides[1], "PhysicalSizeX"


def _from_microscope(tiff: tifffile.TiffFile) -> tuple[float, float, str] | None:
    """The tags of scanning electron microscopes: FEI and Thermo Fisher, Zeiss, Olympus SIS."""
    if tiff.is_fei:
        for part in ("Scan", "EScan", "IScan"):
            scan = tiff.fei_metadata.get(part, {})
            if scan.get("PixelWidth") and scan.get("PixelHeight"):
                return float(scan["PixelWidth"]) * 1e9, float(scan["PixelHeight"]) * 1e9, f"FEI {part}/PixelWidth"
    if tiff.is_sem:
        for name in ("ap_image_pixel_size", "ap_pixel_size"):
            found = tiff.sem_metadata.get(name)
            if found:
                side = float(found[1]) * NANOMETRES[found[2].lower()]
                return side, side, f"Zeiss {name}"
    if tiff.is_sis:
        found = tiff.sis_metadata or {}
        if found.get("pixelsizex") and found.get("pixelsizey"):
            return float(found["pixelsizex"]) * 1e9, float(found["pixelsizey"]) * 1e9, "Olympus pixelsizex"
    return None
