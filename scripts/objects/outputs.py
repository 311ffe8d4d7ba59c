"""Files of an analysis: instances, tables and outlines."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from scripts.io import MARK, naming, write_atomically

__all__ = ["write_instances", "write_labels", "write_rois", "write_table"]

DENSE = 30
"""Points from which on an outline is written with every third of them: they lie within a pixel of each other."""


def write_instances(
    path: Path,
    sections: Iterator[NDArray[np.integer]],
    shape: tuple[int, int, int],
    highest: int,
    pixel_size: tuple[float, float] | None,
    thickness: float | None,
) -> None:
    """Write numbers of objects as one TIFF that Fiji, napari and 3D Slicer open.

    Args:
        path: where to write.
        sections: (height, width), one after the other.
        shape: of the whole, (sections, height, width).
        highest: the highest number: 16 bits are written while it fits, else 32, which ImageJ's own kind of TIFF does
            not know for whole numbers; it opens plain TIFF too.
        pixel_size: [x, y] in nanometres, or None.
        thickness: of a section in nanometres, or None.

    Raises:
        OSError: the file cannot be written.
    """
    fits = highest <= np.iinfo(np.uint16).max
    dtype = np.dtype(np.uint16 if fits else np.uint32)
    options: dict[str, Any] = {"photometric": "minisblack", "compression": "zlib"}
    if pixel_size is not None and fits:
        options["resolution"] = tuple(1000 / size for size in pixel_size)
    elif pixel_size is not None:  # plain TIFF knows centimetres
        options |= {"resolution": tuple(1e7 / size for size in pixel_size), "resolutionunit": "CENTIMETER"}
    metadata: dict[str, Any] = {"axes": "ZYX", "min": 0, "max": highest} if fits else {"axes": "ZYX"}
    if fits and pixel_size is not None:
        metadata |= {"unit": "um", **({} if thickness is None else {"spacing": thickness / 1000})}
    pages = (section.astype(dtype, copy=False) for section in sections)

    def write(target: Path) -> None:
        tifffile.imwrite(
            target,
            pages,
            shape=shape,
            dtype=dtype,
            imagej=fits,
            bigtiff=not fits,
            metadata=metadata,
            software=MARK,
            **options,
        )

    write_atomically(path, write)


def write_labels(
    volume: str | Path,
    sections: Iterator[NDArray[np.integer]],
    shape: tuple[int, int, int],
    pixel_size: tuple[float, float] | None,
    thickness: float | None,
    overwrite: bool = False,
) -> None:
    """Write numbers of objects as the labels "mitochondria" of an OME-Zarr volume.

    Args:
        volume: the image that they belong to.
        sections: (height, width), one after the other.
        shape: of the whole, (sections, height, width).
        pixel_size: [x, y] in nanometres, or None.
        thickness: of a section in nanometres, or None.
        overwrite: whether to replace labels of that name that this bundle did not write.

    Raises:
        OSError: they cannot be written, or are those of someone else.
    """
    from scripts.io.volume import Volume

    size = (thickness, *((None, None) if pixel_size is None else reversed(pixel_size)))
    with naming(f"{volume}: labels"):
        labels = Volume.create_labels(volume, "mitochondria", shape, overwrite, voxel_size_nm=size)
        for page, section in enumerate(sections):
            labels.write(page, section.astype(np.uint32, copy=False))
        labels.complete()


def write_table(path: Path, header: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file; numbers have six digits, and what is not known is empty.

    Args:
        path: where to write.
        header: names of the columns.
        rows: what they hold.

    Raises:
        OSError: the file cannot be written.
    """

    def write(target: Path) -> None:
        # bytes of a file's name that are no UTF-8 are escaped
        with open(target, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([_cell(value) for value in row] for row in rows)

    write_atomically(path, write)


def write_rois(path: Path, outlines: Iterable[tuple[int, int, NDArray[np.float32]]]) -> None:
    """Write outlines for Fiji's ROI manager.

    Args:
        path: zip file.
        outlines: number of the object, page of the instances from 0, and points (n, 2), x and y in pixels.

    Raises:
        OSError: the file cannot be written.
    """
    from roifile import ROI_TYPE, ImagejRoi

    def write(target: Path) -> None:
        names: dict[str, int] = {}
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, page, points in outlines:
                name = f"{number:05d}-{page + 1:04d}"
                names[name] = names.get(name, 0) + 1
                name += f"-{names[name]}" if names[name] > 1 else ""
                polygon = points[:-1:3] if len(points) > DENSE else points[:-1]
                roi = ImagejRoi.frompoints(polygon, name=name)
                roi.roitype, roi.position = ROI_TYPE.POLYGON, page + 1
                archive.writestr(f"{name}.roi", roi.tobytes())

    write_atomically(path, write)


def _cell(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        if math.isnan(value):
            return ""
        return int(value) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return value
