"""MRC, DM3, DM4, SER, EMI and EMD: what electron microscopes and their cameras write, by RosettaSciIO."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np

from .formats import Reader, split_suffix
from .pixel_size import NANOMETRES, believed
from .section import Header

__all__ = ["MicroscopeReader", "open_file"]

PLUGINS = {
    **dict.fromkeys((".mrc", ".rec", ".st"), "mrc"),
    **dict.fromkeys((".dm3", ".dm4"), "digitalmicrograph"),
    **dict.fromkeys((".ser", ".emi"), "tia"),
    ".emd": "emd",
}

IMOD = 1146047817
"""Stamp of a program whose MRC files hold unsigned bytes, unless a flag says that they are signed."""


class MicroscopeReader(Reader):
    """A file that RosettaSciIO reads: one picture, or one stack whose first axis is that of the sections."""

    def __init__(self, path: str) -> None:
        suffix = split_suffix(path)[1]
        try:
            plugin = importlib.import_module(f"rsciio.{PLUGINS[suffix]}")
        except ImportError as error:
            raise ValueError(
                f"{suffix} files need {error.name}, which is not installed: pip install rosettasciio h5py"
            ) from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves files to Python
            signal = _picture(plugin.file_reader(path, lazy=True))
        data = signal["data"]
        while data.ndim > 3 and data.shape[0] == 1:
            data = data[0]
        if data.ndim not in (2, 3):
            raise ValueError(f"has {data.ndim} dimensions, sections need 2 and stacks 3")
        if data.dtype.names:
            raise ValueError("is a colour image; save it as grey levels")
        self._data, self._unsigned = data, suffix in (".mrc", ".rec", ".st") and _unsigned_bytes(path, data.dtype)
        size, doubt = _pixel_size(signal["axes"], suffix)
        height, width = data.shape[-2:]
        pages = data.shape[0] if data.ndim == 3 else 1
        dtype = "uint8" if self._unsigned else data.dtype.name
        self.header = Header(path, int(width), int(height), int(pages), dtype=dtype, pixel_size_nm=size, doubt=doubt)

    def read(self, page: int, channel: int | None = None) -> np.ndarray:
        """Read one section; see `Reader`."""
        pixels = np.asarray(self._data[page] if self._data.ndim == 3 else self._data)
        return pixels.view(np.uint8) if self._unsigned else pixels


def open_file(path: str) -> Reader:
    """Open a file of a microscope."""
    return MicroscopeReader(path)


def _picture(signals: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose what shows sections of all that a file holds, such as spectra beside an image."""
    pictures = [signal for signal in signals if signal["data"].ndim >= 2 and min(signal["data"].shape[-2:]) > 1]
    if not pictures:
        raise ValueError("holds no image")
    if len(pictures) > 1:
        names = [signal.get("metadata", {}).get("General", {}).get("title") or "without a name" for signal in pictures]
        raise ValueError(f"holds {len(pictures)} images ({', '.join(names)}); save the one of the sections alone")
    return pictures[0]


def _pixel_size(axes: list[dict[str, Any]], suffix: str) -> tuple[tuple[float, float] | None, str | None]:
    """The scale of the last two axes, rows and columns."""
    sides = {}
    for axis in sorted(axes, key=lambda axis: axis.get("index_in_array") or 0)[-2:]:
        unit = NANOMETRES.get(str(axis.get("units")).strip().lower())
        if unit is None or not axis.get("scale"):
            return None, None
        sides[len(sides)] = float(axis["scale"]) * unit
    return believed(sides[1], sides[0], f"{suffix[1:].upper()} scale") if len(sides) == 2 else (None, None)


def _unsigned_bytes(path: str, dtype: np.dtype) -> bool:
    """Tell whether the bytes of an MRC file that are read as signed are those of an early IMOD."""
    if dtype != np.int8:
        return False
    with open(path, "rb") as file:
        words = np.frombuffer(file.read(160), "<i4")
    return len(words) == 40 and words[38] == IMOD and not words[39] & 1
