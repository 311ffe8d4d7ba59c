"""JPEG files, which are read but not written: their compression changes labels."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np

from .formats import Reader
from .section import Header

__all__ = ["JPEGReader", "open_file"]

FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers that begin the frame, which says how large it is."""


class JPEGReader(Reader):
    """A JPEG file: one picture. Its resolution is that of a print and says nothing of the section."""

    def __init__(self, path: str) -> None:
        encoded = Path(path).read_bytes()
        if not encoded.startswith(b"\xff\xd8"):
            raise ValueError("is no JPEG file, or damaged")
        # the decoder fills what is missing with grey and says nothing
        if b"\xff\xd9" not in encoded[-1024:]:
            raise ValueError("is truncated: its end is missing")
        depth, height, width, samples = _frame(encoded)
        if samples == 4:
            raise ValueError("has the four colours of a print (CMYK); save it as grey levels")
        self._encoded = encoded
        self.header = Header(path, width, height, dtype="uint8" if depth == 8 else "uint16")

    def read(self, page: int, channel: int | None = None) -> np.ndarray:
        """Read the picture; see `Reader`."""
        return imagecodecs.jpeg_decode(self._encoded)


def open_file(path: str) -> Reader:
    """Open a JPEG file."""
    return JPEGReader(path)


def _frame(encoded: bytes) -> tuple[int, int, int, int]:
    place = 2
    while place + 10 <= len(encoded):
        marker, length = struct.unpack(">xBH", encoded[place : place + 4])
        if encoded[place] != 0xFF:
            break
        if marker in FRAMES:
            return struct.unpack(">BHHB", encoded[place + 4 : place + 10])
        place += 2 + length if marker != 0xFF else 1
    raise ValueError("is damaged: it does not say its size")
