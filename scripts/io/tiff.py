"""TIFF files: single pages, series, ImageJ's stacks and OME-TIFF."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC

from .formats import MARK, Reader
from .section import Header
from .tiff_metadata import channels_of_pages, form_of, options_like, pixel_size_of_tiff, place_of

__all__ = ["TIFFReader", "open_file", "write"]

IMAGEJ_CHANNELS = 7
"""Most channels that ImageJ shows together."""

GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.PALETTE)
COLOUR = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)

THUMBNAIL, MASK = 1, 4
"""Bits of the tag NewSubfileType."""


class _Plane(NamedTuple):
    """Where the pixels of a section lie: in a page of the file, or in a stack behind its first page."""

    page: int
    index: int | None
    channel: int


class TIFFReader(Reader):
    """A TIFF file. Its sections are its pages, in the order that its description gives them, if it has one."""

    def __init__(self, path: str) -> None:
        # of an OME-TIFF in several files each is read for itself
        try:
            self._tiff = tifffile.TiffFile(path, _multifile=False)
        except struct.error:
            raise ValueError("is damaged: it ends within its header") from None
        self._mapped: np.ndarray | None = None
        try:
            self.header = self._header(path)
        except Exception:
            self._tiff.close()
            raise

    def read(self, page: int, channel: int | None = None) -> np.ndarray:
        """Read one section; see `Reader`."""
        plane = [plane for plane in self._planes if plane.channel == (channel or 0)][page]
        tags = self._tiff.pages[plane.page].aspage()
        if plane.index is None:
            pixels = tags.asarray()
        else:
            if self._mapped is None:
                # mapped, only the pages that are used are read; ImageJ keeps a large stack behind a single page
                self._mapped = self._tiff.asarray(out="memmap").reshape(-1, *tags.shape)
            pixels = self._mapped[plane.index]
        samples = tags.axes.find("S")
        if samples >= 0:
            pixels = np.moveaxis(pixels, samples, -1)
        if pixels.ndim != 2 + (samples >= 0):
            raise ValueError(
                f"page {plane.page} has the axes {tags.axes}, expected those of a picture; save it page by page"
            )
        if self._split_samples:
            pixels = pixels[..., channel or 0]
        return _resolved(tags, pixels)

    def close(self) -> None:
        """Close the file."""
        self._mapped = None
        self._tiff.close()

    def _header(self, path: str) -> Header:
        tiff = self._tiff
        first = tiff.pages[0] if len(tiff.pages) else None
        if first is None or 0 in (first.imagewidth, first.imagelength) or not first.dataoffsets:
            raise ValueError("is damaged: it has a header, but no picture")
        if first.photometric not in (*GREY, *COLOUR):
            kind = getattr(first.photometric, "name", first.photometric)
            raise ValueError(f"its colours are of the kind {kind}; save it as grey levels")
        self._planes, dtype = _planes(tiff)
        count, described = channels_of_pages(tiff)
        if described:
            self._planes = [plane._replace(channel=described[plane.page]) for plane in self._planes]
        colours = 3 if first.photometric in COLOUR else 1
        extra = tuple(int(kind) for kind in first.extrasamples)
        # a sample more than the colours is an opacity, unless a grey picture says that it is something else
        several = colours == 1 and first.samplesperpixel > 1 and not (len(extra) == 1 and extra[0] in (1, 2))
        self._split_samples = several
        channels = first.samplesperpixel if several else 1 + max(plane.channel for plane in self._planes)
        if several:
            if any(plane.channel for plane in self._planes):
                raise ValueError("has channels as samples of a pixel and as pages; save its channels as files")
            self._planes = [plane._replace(channel=c) for plane in self._planes for c in range(channels)]
        pages = [sum(plane.channel == c for plane in self._planes) for c in range(channels)]
        here = {plane.channel for plane in self._planes}
        if len({pages[c] for c in here}) > 1 or len(here) not in (1, channels):
            raise ValueError(f"its {len(self._planes)} pages do not share its channels evenly; save each as a file")
        size, doubt = pixel_size_of_tiff(tiff)
        software = first.tags.get("Software")
        return Header(
            path,
            int(first.imagewidth),
            int(first.imagelength),
            max(pages),
            dtype=dtype,
            channels=max(channels, count),
            only_channel=here.pop() if count > len(here) else None,
            pixel_size_nm=size,
            doubt=doubt,
            affine=place_of(first),
            form=form_of(tiff, size),
            result=software is not None and software.value == MARK,
        )


def open_file(path: str) -> Reader:
    """Open a TIFF file."""
    return TIFFReader(path)


def write(
    path: Path, pages: Sequence[np.ndarray], like: Header | None, pixel_size_nm: Sequence[float] | None, result: bool
) -> None:
    """Write a TIFF file; see `scripts.io.writing`."""
    first = pages[0]
    shape = first.shape if len(pages) == 1 else (len(pages), *first.shape)
    large = first.nbytes * len(pages) >= 2**31
    tifffile.imwrite(
        path,
        (np.ascontiguousarray(page) for page in pages),
        shape=shape,
        dtype=first.dtype,
        photometric="minisblack",
        compression="zlib",
        bigtiff=large,
        software=MARK if result else None,
        **options_like(like, pixel_size_nm, len(pages), first.dtype, large),
    )


def _planes(tiff: tifffile.TiffFile) -> tuple[list[_Plane], str]:
    """The sections of a file in their order, and the pixel type of what is read.

    Raises:
        ValueError: the pages are not sections of one size, or not all of them can be told.
    """
    pages, first = tiff.pages, tiff.pages[0].aspage()
    planes = [plane for series in tiff.series for plane in _planes_of(series)]
    if len(pages) == 1:
        behind = len(planes) > 1
        return [plane._replace(index=i if behind else None) for i, plane in enumerate(planes)], _dtype(first).name
    types = set()
    for number in range(len(pages)):
        page = pages[number].aspage()
        kind = int(page.subfiletype)
        if kind & (THUMBNAIL | MASK):
            raise ValueError(
                f"its page {number} is {'a mask' if kind & MASK else 'a thumbnail'}, not a section; save it without"
            )
        if (page.imagewidth, page.imagelength, page.dtype, page.samplesperpixel) != (
            first.imagewidth,
            first.imagelength,
            first.dtype,
            first.samplesperpixel,
        ):
            raise ValueError(f"its {len(pages)} pages differ in size or pixel type; save its sections alone")
        types.add(_dtype(page))
    if sorted(plane.page for plane in planes) != list(range(len(pages))):
        if any(plane.channel for plane in planes):
            raise ValueError(
                f"its description tells of {len(planes)} pages, but it has {len(pages)}; save it as a plain stack"
            )
        planes = [_Plane(number, None, 0) for number in range(len(pages))]
    return planes, np.result_type(*types).name


def _planes_of(series: tifffile.TiffPageSeries) -> list[_Plane]:
    lead = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "XYS"]
    shape = [n for _, n in lead]
    where = [i for i, (axis, _) in enumerate(lead) if axis == "C"]
    if series.kind == "imagej" and len(lead) == 1 and shape[0] > IMAGEJ_CHANNELS:
        where = []  # a stack that a library wrote without naming its axis
    numbers = [None if page is None else page.index for page in series.pages]
    planes = []
    for i, index in enumerate(np.ndindex(*shape)):
        number = numbers[i] if i < len(numbers) else numbers[0]
        if number is None:
            raise ValueError("is damaged: pages that its description tells of are missing")
        planes.append(_Plane(number, None, index[where[0]] if where else 0))
    return planes


def _resolved(page: tifffile.TiffPage, pixels: np.ndarray) -> np.ndarray:
    """Turn the values of a page into grey levels, or colours, by its own tags."""
    kind = page.photometric
    if kind in COLOUR:
        return pixels
    if kind not in GREY:
        raise ValueError(f"its colours are of the kind {getattr(kind, 'name', kind)}; save it as grey levels")
    if kind == PHOTOMETRIC.PALETTE:
        return _grey_levels(page, pixels)
    if kind == PHOTOMETRIC.MINISWHITE:
        if pixels.dtype.kind in "bi":
            return ~pixels  # of signed integers, -1 - value: the lowest becomes the highest
        if pixels.dtype.kind == "u":
            return pixels.dtype.type(2**page.bitspersample - 1) - pixels
        raise ValueError("its grey levels are inverted (white is 0) and real numbers; save it with black as 0")
    return pixels


def _grey_levels(page: tifffile.TiffPage, pixels: np.ndarray) -> np.ndarray:
    """Look up the grey levels of a colour table, if it is grey."""
    table = None if page.colormap is None else np.asarray(page.colormap)
    if table is None or not (table == table[:1]).all():
        raise ValueError("its pixels are indices of a colour table; save it as grey levels")
    levels = _eight_bit_where_it_is(table[0])
    if pixels.max() >= len(levels):
        raise ValueError(f"its colour table has {len(levels)} entries, but a pixel is {pixels.max()}")
    return levels[pixels]


def _eight_bit_where_it_is(levels: np.ndarray) -> np.ndarray:
    """Levels of a table in the type that they had: as programs should, 8-bit levels are written times 257 or 256."""
    if levels.max() >= 256:
        if (levels % 257).any() and (levels % 256).any():
            return levels
        levels = levels >> 8
    return levels.astype(np.uint8)


def _dtype(page: tifffile.TiffPage) -> np.dtype:
    """The pixel type of what is read of a page, which is that of the levels where it has a colour table."""
    table = page.colormap if page.photometric == PHOTOMETRIC.PALETTE else None
    return np.dtype(page.dtype if table is None else _eight_bit_where_it_is(np.asarray(table)[0]).dtype)
