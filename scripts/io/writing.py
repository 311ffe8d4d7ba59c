"""Writing of sections and stacks: complete or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .files import write_atomically
from .formats import WRITTEN, format_module, split_suffix
from .reading import read_header, transposed
from .section import Header, Section

__all__ = ["write_section"]


def write_section(
    path: str | Path,
    pixels: np.ndarray | Sequence[np.ndarray],
    like: Section | Header | str | Path | None = None,
    result: bool = False,
) -> None:
    """Write a section or a stack; the file appears under its name only when it is complete.

    Args:
        path: where to write; the suffix, one of `WRITTEN`, names the format.
        pixels: array (width, height) or (width, height, pages), or the pages (width, height) of a stack one by one, so
            that they need not be in memory together.
        like: section, or file, whose geometry (pixel size, position, orientation) is taken over: as it is if it has the
            same format, or else the pixel size alone. The pixel size of a section comes before that of its file.
        result: whether it is a segmentation, which is noted in the file and never taken for a section.

    Raises:
        ValueError: the format is not written.
        OSError: the file cannot be written, for instance because the disk is full.
    """
    _, suffix = split_suffix(path)
    if suffix not in WRITTEN:
        raise ValueError(f"{path}: cannot be written in this format; written are {', '.join(WRITTEN)}")
    if isinstance(like, Section):
        header, size = like.header, like.pixel_size_nm
    else:
        header = read_header(like) if isinstance(like, str | Path) else like
        size = None if header is None else header.pixel_size_nm
    result = result or (header is not None and header.result)  # a segmentation that was warped is one still
    module = format_module(suffix)
    same = header if header is not None and format_module(split_suffix(header.path)[1]) is module else None
    # the order of NumPy: pages, rows, columns
    if isinstance(pixels, np.ndarray):
        pages = transposed(pixels)[None] if pixels.ndim == 2 else pixels.T
    else:
        pages = _Turned(pixels)
    write_atomically(path, lambda target: module.write(target, pages, same, size, result))


class _Turned(Sequence):
    """Pages (height, width) of pages (width, height), one at a time."""

    def __init__(self, pages: Sequence[np.ndarray]) -> None:
        self.pages = pages

    def __len__(self) -> int:
        return len(self.pages)

    def __getitem__(self, index: int) -> np.ndarray:
        return transposed(self.pages[index])
