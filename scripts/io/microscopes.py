"""MRC, DM3, DM4, SER, EMI and EMD: what electron microscopes and their cameras write, by RosettaSciIO."""

from __future__ import annotations

import glob
import importlib
import warnings
from typing import Any

import numpy as np

from .files import reason
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
        self._unsigned = PLUGINS[suffix] == "mrc" and _unsigned_bytes(path)
        signal = _picture(_signals(path, suffix))
        data, axes = _rows_and_columns_last(signal["data"], signal["axes"])
        while data.ndim > 3 and data.shape[0] == 1:
            data = data[0]
        if data.ndim not in (2, 3):
            raise ValueError(f"has {data.ndim} dimensions, sections need 2 and stacks 3")
        if data.dtype.names:
            raise ValueError("is a colour image; save it as grey levels")
        self._data = data
        self._unsigned &= data.dtype == np.int8
        size, doubt = _pixel_size(axes[-2:], suffix)
        if PLUGINS[suffix] == "mrc" and size == (1, 1) and not _has_grid(path):
            size = None  # RosettaSciIO takes 1 nm where a cell is not divided into voxels
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


def _signals(path: str, suffix: str) -> list[dict[str, Any]]:
    """All that a file holds."""
    try:
        plugin = importlib.import_module(f"rsciio.{PLUGINS[suffix]}")
    except ImportError as error:
        raise ValueError(
            f"{suffix} files need {error.name}, which is not installed: pip install rosettasciio h5py"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves files to Python, here and after an error
        try:
            return plugin.file_reader(path, lazy=True)
        except Exception as error:
            problem = reason(error)
    raise ValueError(problem)


def pixel_files(path: str) -> list[str]:
    """Name the series of images that an EMI file describes."""
    if not path.lower().endswith(".emi"):
        return []
    return sorted(glob.glob(f"{glob.escape(path[:-4])}_*.ser"))


def _rows_and_columns_last(data: Any, axes: list[dict[str, Any]]) -> tuple[Any, list[dict[str, Any]]]:
    """Bring the axes into the order (z, y, x) by their names: for EMD, RosettaSciIO has it the other way round."""
    axes = sorted(axes, key=lambda axis: axis.get("index_in_array") or 0)
    names = [str(axis.get("name")).lower() for axis in axes]
    if names.count("x") == names.count("y") == 1 and len(axes) == data.ndim:
        order = [i for i, name in enumerate(names) if name not in "xy"] + [names.index("y"), names.index("x")]
        data, axes = data.transpose(order), [axes[i] for i in order]
    return data, axes


def _pixel_size(axes: list[dict[str, Any]], suffix: str) -> tuple[tuple[float, float] | None, str | None]:
    """The scale of rows and columns."""
    units = [NANOMETRES.get(str(axis.get("units")).strip().lower()) for axis in axes]
    if len(axes) < 2 or None in units or not all(axis.get("scale") for axis in axes):
        return None, None
    rows, columns = (float(axis["scale"]) * unit for axis, unit in zip(axes, units, strict=True))
    return believed(columns, rows, f"{suffix[1:].upper()} scale")


def _has_grid(path: str) -> bool:
    """Whether an MRC file says into how many voxels along x and y its cell is divided."""
    with open(path, "rb") as file:
        return all(np.frombuffer(file.read(36)[28:], "<i4"))


def _unsigned_bytes(path: str) -> bool:
    """Tell whether the bytes of an MRC file that are read as signed are those of an early IMOD.

    Raises:
        ValueError: the file is big-endian, which RosettaSciIO does not notice.
    """
    with open(path, "rb") as file:
        head = file.read(216)
    if head[208:211] == b"MAP" and head[212:214] == b"\x11\x11":
        raise ValueError("is big-endian; save it as little-endian MRC, or as TIFF")
    words = np.frombuffer(head[152:160], "<i4")
    return len(words) == 2 and words[0] == IMOD and not words[1] & 1
