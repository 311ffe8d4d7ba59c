"""PNG files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np

from .formats import MARK, Reader
from .pixel_size import believed
from .section import Header

__all__ = ["PNGReader", "open_file", "write"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RESULT = b"Software\0" + MARK.encode()
"""Text of a file that is a result, and no section."""

LONGEST = 256
"""Bytes of a chunk that is read: those that matter are short, others may be whole documents."""
SMALLEST = 1e9 / 2**32
"""Nanometres of a pixel beyond which pixels per metre are no number of 32 bits."""


class PNGReader(Reader):
    """A PNG file: one picture. Its grey levels of 1, 2 and 4 bits, palettes and opacity are resolved by the decoder."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - read from later, closed by `close`
        try:
            self.header = self._header(path, self._file)
        except Exception:
            self._file.close()
            raise

    def read(self, page: int, channel: int | None = None) -> np.ndarray:
        """Read the picture; see `Reader`."""
        self._file.seek(0)
        return imagecodecs.png_decode(self._file.read())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @staticmethod
    def _header(path: str, file: BinaryIO) -> Header:
        start = file.read(29)  # signature and IHDR, but for its checksum
        if not start.startswith(SIGNATURE) or len(start) < 29:
            raise ValueError(f"is no PNG file, {_kind(start)}")
        width, height, depth = struct.unpack(">IIB", start[16:25])
        chunks = [*_chunks(file)]
        if any(kind == b"acTL" for kind, _ in chunks):
            raise ValueError("is an animation of several pictures; save each as a file, or all as a TIFF")
        spacing = next((content for kind, content in chunks if kind == b"pHYs"), None)
        size, doubt = None, None
        if spacing is not None and len(spacing) == 9:
            x, y, unit = struct.unpack(">IIB", spacing)
            if unit == 1 and x and y:  # pixels per metre
                size, doubt = believed(1e9 / x, 1e9 / y, "pHYs")
        return Header(
            path,
            width,
            height,
            dtype="uint16" if depth == 16 else "uint8",
            pixel_size_nm=size,
            doubt=doubt,
            form={} if spacing is None else {"pHYs": spacing},
            result=(b"tEXt", RESULT) in chunks,
        )


def open_file(path: str) -> Reader:
    """Open a PNG file."""
    return PNGReader(path)


def write(
    path: Path, pages: Sequence[np.ndarray], like: Header | None, pixel_size_nm: Sequence[float] | None, result: bool
) -> None:
    """Write a PNG file; see `scripts.io.writing`."""
    if len(pages) != 1:
        raise ValueError(f"{path}: a PNG file holds one section, not {len(pages)}")
    encoded = imagecodecs.png_encode(np.ascontiguousarray(pages[0]), level=6)
    extra = b""
    if like is not None and "pHYs" in like.form and like.states(pixel_size_nm):
        extra += _chunk(b"pHYs", like.form["pHYs"])
    elif pixel_size_nm is not None and min(pixel_size_nm) > SMALLEST:
        extra += _chunk(b"pHYs", struct.pack(">IIB", *(round(1e9 / length) for length in pixel_size_nm), 1))
    if result:
        extra += _chunk(b"tEXt", RESULT)
    header = len(SIGNATURE) + 25  # signature and IHDR, which both have to come first
    with open(path, "wb") as file:
        file.write(encoded[:header] + extra + encoded[header:])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The chunks before the pixels, however long others beside them are, which are passed over."""
    place = len(SIGNATURE)
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            return
        yield kind, file.read(length) if length <= LONGEST else b""
        place += 12 + length


def _kind(start: bytes) -> str:
    for beginning, name in ((b"\xff\xd8", "JPEG"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"BM", "BMP")):
        if start.startswith(beginning):
            return f"but a {name} file; give it the name of one"
    return "or damaged"
