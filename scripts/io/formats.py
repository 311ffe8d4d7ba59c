"""The formats of files: which module reads and writes each, behind one interface.

A format is a module of this room. It has a function ``open_file(path)``, which returns a `Reader`, and where results
can be written in it, ``write(path, pages, like)`` (see `scripts.io.writing`); and where the file that is named does not
hold the pixels itself, ``pixel_files(path)``, the files that do. Inside formats pixels have the order of NumPy,
(z, y, x); `scripts.io.read_section` and `write_section` turn it into MONAI's (x, y).
"""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import ModuleType

import numpy as np

from .section import Header

__all__ = [
    "FORMATS",
    "IMAGE_2D_SUFFIXES",
    "MARK",
    "VOLUMES",
    "WRITTEN",
    "Reader",
    "format_module",
    "is_volume",
    "section_name",
    "split_suffix",
]

MODULES = {
    ".tif": "tiff",
    ".tiff": "tiff",
    ".png": "png",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    **dict.fromkeys((".zarr", ".ome.zarr"), "ome_zarr"),
    **dict.fromkeys((".mrc", ".rec", ".st", ".dm3", ".dm4", ".ser", ".emi", ".emd"), "microscopes"),
}
"""Which module reads files of a suffix; it is imported when the first of them is met."""

IMAGE_2D_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""File name suffixes of formats without a third axis; a TIFF of many pages is a series of pictures."""
FORMATS = tuple(MODULES)
"""File name suffixes that are read."""
VOLUMES = (".zarr", ".ome.zarr")
"""Those of them that are folders."""
WRITTEN = (".tif", ".tiff", ".png", ".nii", ".nii.gz", ".nrrd")
"""File name suffixes that are written; results of other formats come as TIFF."""
POSTFIXES = ("_mitochondria", "_probability")
"""What the names of results have beyond that of their section."""
MARK = "segmentation by the mitochondria bundle"
"""What a file says of itself, as the software that wrote it, if it is a result and no section."""


class Reader(ABC):
    """An open file of sections.

    Attributes:
        header: what the file says of itself.
    """

    header: Header

    @abstractmethod
    def read(self, page: int, channel: int | None = None) -> np.ndarray:
        """Read one section.

        Args:
            page: within the header's `pages`, from 0.
            channel: within the header's `channels`, from 0, None where there is one.

        Returns:
            Array (height, width), or (height, width, samples) where the colours of a pixel stand together: grey or red,
            green and blue, each perhaps with an opacity. In the pixel type of the file.
        """

    def close(self) -> None:  # noqa: B027 - what is in memory needs no closing
        """Close the file."""


def format_module(suffix: str) -> ModuleType:
    """Import what reads and writes files of a suffix.

    Args:
        suffix: one of `FORMATS`.

    Returns:
        The module.
    """
    return importlib.import_module(f"scripts.io.{MODULES[suffix]}")


def is_volume(path: str | Path) -> bool:
    """Tell whether a path is that of a volume, a folder that is read as one file.

    Args:
        path: any path.

    Returns:
        Whether it is a folder with a suffix of `VOLUMES`.
    """
    return (Path(path).name.lower().endswith(VOLUMES) or _are_labels(path)) and os.path.isdir(path)


def _are_labels(path: str | Path) -> bool:
    """Whether a path is that of labels in a volume, whose names have no suffix: ``a.zarr/labels/cells``."""
    above = Path(path).parent
    return above.name == "labels" and above.parent.name.lower().endswith(VOLUMES)


def split_suffix(path: str | Path) -> tuple[str, str]:
    """Split the name of a section file into stem and suffix.

    Args:
        path: path of a file; only its name matters.

    Returns:
        Stem and lower-case suffix, where ``.nii.gz`` is one suffix.

    Raises:
        ValueError: the suffix is none of ``FORMATS``.
    """
    name = Path(path).name
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], suffix
    if _are_labels(path):
        return name, ".zarr"
    raise ValueError(f"{path}: not a supported image format; supported are {', '.join(FORMATS)}")


def section_name(path: str | Path) -> str:
    """Name the section that a file is, or is a result of.

    Args:
        path: path of a file; only its name matters.

    Returns:
        Its stem, without what the name of a result has beyond it.

    Raises:
        ValueError: the suffix is none of ``FORMATS``.
    """
    stem = split_suffix(path)[0]
    return next((stem.removesuffix(postfix) for postfix in POSTFIXES if stem.endswith(postfix)), stem)
