"""Reading of sections: one page of a picture file, stack or volume at a time."""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from .files import reason
from .formats import Reader, format_module, is_volume, split_suffix
from .section import Header, Section

__all__ = ["check_channel", "content_state", "file_state", "read_header", "read_section", "transposed"]

HANDED_ON = 2**26
"""Bytes of pixels, at most, that wait for a loader after they were checked; one section waits whatever its size."""

STRIP = 256
"""Lines that are turned at once: what they are turned to stays in the cache."""

MOST_HEADERS = 10_000
"""Headers that are remembered of files that did not change."""


class _OpenFile:
    """The file that was read last, still open: pages of a stack follow one another."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # for threads, such as those of MONAI's CacheDataset and of a server
        self._state: tuple | None = None
        self._reader: Reader | None = None

    def open(self, path: str | Path) -> Reader:
        """Open a file, unless it is the one that is open and has not changed."""
        # a process has files of its own: another one would move the place at which this one reads
        state = (os.getpid(), *file_state(path))
        if self._reader is None or state != self._state:
            self.close()
            _, suffix = split_suffix(path)
            if not is_volume(path) and not os.path.getsize(path):
                raise ValueError(f"{path}: cannot be read: is an empty file")
            try:
                self._reader = format_module(suffix).open_file(str(path))
            except Exception as error:
                raise ValueError(f"{path}: cannot be read: {reason(error)}") from None
            self._state = state
        return self._reader

    def renew_lock(self) -> None:
        """Forget who holds the lock, in a process that has but one thread of those that its parent had."""
        self.lock = threading.RLock()

    def close(self) -> None:
        """Close it."""
        reader, self._reader, self._state = self._reader, None, None
        if reader is not None:
            reader.close()


_open = _OpenFile()
atexit.register(_open.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.renew_lock)
_headers: dict[tuple, Header] = {}
_checked: dict[tuple, np.ndarray] = {}


def read_header(path: str | Path) -> Header:
    """Read what the header of a file says, without its pixels.

    Args:
        path: file of one of `FORMATS`.

    Returns:
        Size, pixel type, number of sections, pixel size and place in space.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the format is not supported or the header cannot be read.
    """
    state = file_state(path)
    header = _headers.get(state)
    if header is None:
        with _open.lock:
            header = _open.open(path).header
        if len(_headers) >= MOST_HEADERS:
            _headers.clear()
        _headers[state] = header
    return header if header.path == str(path) else replace(header, path=str(path))


def read_section(
    section: Section | str | Path, page: int | None = None, channel: int | None = None, hand_on: bool = False
) -> np.ndarray:
    """Read one section as a grey image.

    Args:
        section: a section, or the path of a file of one of `FORMATS`. RGB(A) pixels are accepted where red, green and
            blue agree everywhere.
        page: number of the section in a stack, from 0; may be None where the file holds one section.
        channel: which to read where there are several, from 0.
        hand_on: whether the next call for the same section may have these pixels without reading them again. The caller
            leaves them as they are.

    Returns:
        Array (width, height) in the pixel type of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or of an unsupported format, holds a stack and `page` is None, has no such page,
            has several channels and none is chosen, is a colour image, or has NaN or infinite pixels.
    """
    if isinstance(section, Section):
        path, page, channel = section.path, section.page, section.channel
    else:
        path = section
    key = (*file_state(path), page or 0, channel)
    pixels = _checked.pop(key, None)
    if pixels is None:
        with _open.lock:
            pixels = _read(path, page, channel)
    if hand_on and (not _checked or sum(kept.nbytes for kept in _checked.values()) + pixels.nbytes <= HANDED_ON):
        _checked[key] = pixels
    return pixels


def transposed(pixels: np.ndarray) -> np.ndarray:
    """Turn (height, width) into (width, height), or back, in memory of its own.

    Args:
        pixels: of two axes, in any order of memory.

    Returns:
        A copy, contiguous.
    """
    turned = np.empty(pixels.shape[::-1], pixels.dtype)
    for start in range(0, len(pixels), STRIP):  # a sixth of the time that NumPy takes for all at once
        turned[:, start : start + STRIP] = pixels[start : start + STRIP].T
    return turned


def check_channel(header: Header, channel: int | None) -> None:
    """Refuse a file of several channels if none of them is chosen, or one that it has not.

    Args:
        header: of the file.
        channel: that is chosen, from 0, or None.

    Raises:
        ValueError: as above.
    """
    if header.channels == 1:
        return
    if channel is None:
        raise ValueError(
            f"{header.path}: has {header.channels} channels, and which one shows the tissue is not known; choose it by "
            "--channel, from 0, or save them as slices if they are sections"
        )
    if not 0 <= channel < header.channels:
        raise ValueError(f"{header.path}: channel must be from 0 to {header.channels - 1}, but got {channel}")


def _read(path: str | Path, page: int | None, channel: int | None) -> np.ndarray:
    reader = _open.open(path)
    header = reader.header
    if page is None and header.pages > 1:
        raise ValueError(f"{path}: is a stack of {header.pages} sections where one section is expected")
    page = 0 if page is None else page
    if not 0 <= page < header.pages:
        raise ValueError(f"{path}: has no page {page}, its {header.pages} page(s) count from 0")
    check_channel(header, channel)
    try:
        pixels = reader.read(page, channel if header.channels > 1 else None)
    except Exception as error:
        _open.close()
        raise ValueError(f"{path}: cannot be read: {reason(error)}") from None
    pixels = _as_grey(path, pixels, None if header.channels > 1 else channel)
    if pixels.shape != (header.height, header.width):
        raise ValueError(
            f"{path}: page {page} has {pixels.shape[1]}x{pixels.shape[0]} pixels, its header says {header}"
        )
    if pixels.dtype.kind == "c":
        raise ValueError(f"{path}: its pixels are complex numbers; save their magnitude")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ValueError(f"{path}: {np.count_nonzero(~np.isfinite(pixels))} pixels are NaN or infinite")
    return transposed(pixels)  # a copy, of what may be the file itself, mapped


def _as_grey(path: str | Path, pixels: np.ndarray, channel: int | None) -> np.ndarray:
    """Turn (height, width[, samples]) into (height, width) where that loses nothing, or as the user chose."""
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    if samples > 4:
        raise ValueError(f"{path}: has {samples} samples per pixel, expected a grey image")
    colours = 3 if samples >= 3 else 1
    if channel is not None and not 0 <= channel < colours:
        raise ValueError(
            f"{path}: channel must be {'0' if colours == 1 else 'from 0 to 2'}, but got {channel}; it has "
            f"{'one channel' if colours == 1 else 'red, green and blue'}"
        )
    if pixels.ndim == 2:
        return pixels
    if channel is not None:
        return pixels[..., channel]
    if colours > 1 and not (pixels[..., :3] == pixels[..., :1]).all():
        raise ValueError(
            f"{path}: is a colour image; a section is grey, so its colour channels must agree, or --channel chooses "
            "one (0 is red)"
        )
    return pixels[..., 0]


def file_state(path: str | Path) -> tuple:
    """Give what changes when a file is written anew.

    Args:
        path: of the file, or of a volume, whose description stands for it.

    Returns:
        Its absolute path, inode, size and time of change in nanoseconds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the format is not supported.
    """
    try:
        state = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise FileNotFoundError(f"{path}: is a link to {os.readlink(path)}, which does not exist") from None
        raise FileNotFoundError(f"{path}: no such file") from None
    split_suffix(path)
    if is_volume(path):
        # the folder itself changes with neither its attributes nor its pixels
        described = [os.path.join(path, name) for name in ("zarr.json", ".zattrs", ".zgroup")]
        state = next((os.stat(name) for name in described if os.path.isfile(name)), state)
    elif not Path(path).is_file():
        raise FileNotFoundError(f"{path}: is no file")
    return os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns


def content_state(path: str | Path) -> list[int | str]:
    """Give what changes when the pixels of a file do, also where it is another file that holds them.

    It looks at every chunk of the full resolution of a volume, so it is for what is done once in a run.

    Args:
        path: of the file, or of a volume.

    Returns:
        Size and time of change in nanoseconds; and where other files hold the pixels, a digest of theirs.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the format is not supported.
    """
    _, _, size, time = file_state(path)
    files = getattr(format_module(split_suffix(path)[1]), "pixel_files", None)
    digest, found = hashlib.blake2b(digest_size=16), False
    for file in () if files is None else files(str(path)):
        if os.path.isfile(file):
            state, found = os.stat(file), True
            name = os.path.relpath(file, path)
            digest.update(f"{name} {state.st_size} {state.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return [size, time, digest.hexdigest()] if found else [size, time]
