"""Reading and writing of sections: one page of a picture file, stack or volume at a time."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import imagecodecs
import itk
import nibabel as nib
import numpy as np
import tifffile

__all__ = [
    "FORMATS",
    "PICTURES",
    "SectionInfo",
    "read_affine",
    "read_info",
    "read_section",
    "split_suffix",
    "write_atomically",
    "write_json",
    "write_section",
]

TIFF = (".tif", ".tiff")
NIFTI = (".nii", ".nii.gz")
PICTURES = (*TIFF, ".png")
"""File name suffixes of formats without a third axis; a TIFF of many pages is a series of pictures."""
FORMATS = (*PICTURES, *NIFTI, ".nrrd")
"""File name suffixes that are read and written."""


@dataclass(frozen=True)
class SectionInfo:
    """What the header of a file says.

    Attributes:
        width: pixels along x.
        height: pixels along y.
        pages: number of sections in the file, 1 for a single picture.
    """

    width: int
    height: int
    pages: int


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
    raise ValueError(f"{path}: not a supported image format; supported are {', '.join(FORMATS)}")


def read_info(path: str | Path) -> SectionInfo:
    """Read size and number of sections from the header of a file, without its pixels.

    Args:
        path: PNG, TIFF, NIfTI or NRRD file.

    Returns:
        The size of a section and the number of sections.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the format is not supported or the header cannot be read.
    """
    _, suffix = split_suffix(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        if suffix in TIFF:
            with tifffile.TiffFile(path) as tiff:
                return _tiff_info(tiff)
        if suffix in NIFTI:
            shape = nib.load(path).shape
            _require_planar(shape)
        else:
            io = _itk_header(path)
            shape = [io.GetDimensions(axis) for axis in range(io.GetNumberOfDimensions())]
            _require_planar(shape)
    except Exception as error:
        raise ValueError(f"{path}: cannot be read: {_reason(error)}") from None
    return SectionInfo(int(shape[0]), int(shape[1]), int(np.prod(shape[2:], dtype=int)))


def read_affine(path: str | Path) -> np.ndarray:
    """Read where a section lies in space.

    Args:
        path: PNG, TIFF, NIfTI or NRRD file.

    Returns:
        float64 (4, 4), from voxel indices to the file's unit of length in right-anterior-superior axes, as NIfTI has
        it; for pictures as ITK, and so 3D Slicer, places them.

    Raises:
        ValueError: the format is not supported or the header cannot be read.
    """
    _, suffix = split_suffix(path)
    if suffix in NIFTI:
        return np.array(nib.load(path).affine, dtype=np.float64)
    affine = np.eye(4)
    try:
        io = _itk_header(path)
        axes = range(io.GetNumberOfDimensions())
        for axis in axes:
            affine[axes, axis] = np.array(io.GetDirection(axis)) * io.GetSpacing(axis)
            affine[axis, 3] = io.GetOrigin(axis)
    except (RuntimeError, ValueError) as error:
        if suffix == ".nrrd":
            raise ValueError(f"{path}: cannot be read: {_reason(error)}") from None
        affine = np.eye(4)  # a picture of a kind that ITK does not read
    return np.diag([-1, -1, 1, 1]) @ affine  # ITK's axes point to the left and posterior


def read_section(path: str | Path, page: int | None = None) -> np.ndarray:
    """Read one section as a grey image.

    Args:
        path: PNG, TIFF, NIfTI or NRRD file of 8 bit, 16 bit or floating-point pixels. RGB(A) pixels are accepted
            where red, green and blue agree everywhere.
        page: number of the section in a stack, from 0; may be None where the file holds one section.

    Returns:
        Array (width, height) in the pixel type of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or of an unsupported format, holds a stack and `page` is None, has no such page,
            is a colour image, or has NaN or infinite pixels.
    """
    info = read_info(path)
    if page is None and info.pages > 1:
        raise ValueError(f"{path}: is a stack of {info.pages} sections where one section is expected")
    page = 0 if page is None else page
    if not 0 <= page < info.pages:
        raise ValueError(f"{path}: has no page {page}, its {info.pages} page(s) count from 0")
    _, suffix = split_suffix(path)
    try:
        if suffix in TIFF:
            pixels = _read_tiff_page(path, page)
        elif suffix == ".png":
            # ITK takes no PNG of 16 bit with colours or transparency
            pixels = imagecodecs.imread(path).swapaxes(0, 1)
        elif suffix == ".nii":
            # the slicing reads no more of the file than the page
            volume = nib.load(path).dataobj
            pixels = np.asarray(volume if volume.ndim == 2 else volume[:, :, page])
        else:
            pixels = _read_volume(str(path), Path(path).stat().st_mtime_ns)
            pixels = pixels.reshape(info.width, info.height, info.pages, -1)[:, :, page]
    except Exception as error:
        raise ValueError(f"{path}: cannot be read: {_reason(error)}") from None
    pixels = _as_grey(path, pixels.reshape(info.width, info.height, -1))
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ValueError(f"{path}: {np.count_nonzero(~np.isfinite(pixels))} pixels are NaN or infinite")
    return pixels


def write_section(path: str | Path, pixels: np.ndarray, like: str | Path | None = None) -> None:
    """Write a section or a stack; the file appears under its name only when it is complete.

    Args:
        path: where to write; the suffix names the format.
        pixels: array (width, height) or (width, height, pages).
        like: file whose geometry (pixel size, position, orientation) is taken over if it has the same format.

    Raises:
        ValueError: the format is not supported.
        OSError: the file cannot be written, for instance because the disk is full.
    """
    _, suffix = split_suffix(path)
    same_format = like is not None and split_suffix(like)[1] == suffix
    if same_format and pixels.ndim == 2 and _dimensions(like) == 3:
        pixels = pixels[..., None]  # a volume of one page stays a volume
    # pages, rows, columns: the order of libraries that think of pictures
    rows_first = np.ascontiguousarray(pixels.T)

    def write(target: Path) -> None:
        if suffix in TIFF:
            tifffile.imwrite(
                target,
                rows_first,
                photometric="minisblack",
                compression="zlib",
                bigtiff=rows_first.nbytes >= 2**31,
                metadata={"axes": "ZYX"[-rows_first.ndim :]},
                **(_tiff_resolution(like) if same_format else {}),
            )
        elif suffix in NIFTI:
            header = nib.load(like) if same_format else None
            nib.save(nib.Nifti1Image(pixels, None if header is None else header.affine), target)
        else:
            image = itk.image_from_array(rows_first)
            if same_format and suffix == ".nrrd":
                original = itk.imread(str(like))
                image.SetSpacing(original.GetSpacing())
                image.SetOrigin(original.GetOrigin())
                image.SetDirection(original.GetDirection())
            itk.imwrite(image, str(target), compression=True)

    write_atomically(path, write)


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> None:
    """Let a file appear under its name only when it is complete; a failure leaves what was there.

    Args:
        path: the final name; missing folders are made.
        write: writes the file to the path that it is given, which has the same suffix.

    Raises:
        OSError: the file cannot be written, for instance because the disk is full; the message names it.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a folder beside the file: the same disk, so that the renaming is atomic, and the name keeps its suffix
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
            partial = Path(folder) / path.name
            write(partial)
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        # ITK reports a full disk as a RuntimeError
        raise OSError(f"{path}: cannot be written: {_reason(error)}") from None


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON as `write_atomically` writes.

    Args:
        path: the final name.
        content: what JSON can hold.

    Raises:
        OSError: the file cannot be written.
    """
    write_atomically(path, lambda partial: partial.write_text(json.dumps(content, indent=2) + "\n"))


def _itk_header(path: str | Path) -> itk.ImageIOBase:
    io = itk.ImageIOFactory.CreateImageIO(str(path), itk.CommonEnums.IOFileMode_ReadMode)
    if io is None:
        raise ValueError("no reader recognises its content")
    io.SetFileName(str(path))
    io.ReadImageInformation()
    return io


@lru_cache(maxsize=1)
def _read_volume(path: str, changed: int) -> np.ndarray:
    """Read a compressed volume, (width, height, pages[, channels]), once for all its pages."""
    if path.lower().endswith(NIFTI):
        return np.asarray(nib.load(path).dataobj)
    image = itk.imread(path)
    pixels = itk.array_from_image(image)
    axes = image.GetImageDimension()
    return pixels.transpose(*reversed(range(axes)), *range(axes, pixels.ndim))


def _dimensions(path: str | Path) -> int:
    """Tell a picture from a volume, where the format makes a difference of one page or none."""
    _, suffix = split_suffix(path)
    if suffix in NIFTI:
        return nib.load(path).ndim
    return itk.imread(str(path)).GetImageDimension() if suffix == ".nrrd" else 2


def _tiff_info(tiff: tifffile.TiffFile) -> SectionInfo:
    first = tiff.pages[0]
    if first.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise ValueError("its pixels are indices of a colour table; save it as grey levels")
    if first.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        raise ValueError("its grey levels are inverted (white is 0); save it with black as 0")
    series = tiff.series[0]
    sizes = dict(zip(series.axes, series.shape, strict=True))
    if len(tiff.series) > 1:
        # programs that append page by page leave every page a series of its own
        if any(page.shape != first.shape or page.dtype != first.dtype for page in tiff.pages):
            raise ValueError(f"its {len(tiff.pages)} pages differ in size or pixel type")
        return SectionInfo(sizes["X"], sizes["Y"], len(tiff.pages))
    if sizes.get("C", 1) > 1 and "Z" in sizes:
        raise ValueError(f"it has {sizes['C']} channels, expected sections of one")
    return SectionInfo(sizes["X"], sizes["Y"], int(np.prod([n for axis, n in sizes.items() if axis not in "XYS"])))


def _read_tiff_page(path: str | Path, page: int) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        series, first = tiff.series[0], tiff.pages[0]
        if len(tiff.series) > 1:
            pixels = tiff.pages[page].asarray()
        elif series.dataoffset is not None:
            # mapped, only the pages that are used are read; ImageJ keeps a large stack behind a single page
            pixels = tiff.asarray(out="memmap").reshape(-1, *first.shape)[page]
        else:
            pixels = series.pages[page].asarray()
        channels_first = first.axes.startswith("S")
    if channels_first:
        pixels = np.moveaxis(pixels, 0, -1)
    return np.swapaxes(pixels, 0, 1)


def _tiff_resolution(path: str | Path) -> dict:
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        if "XResolution" not in tags or "YResolution" not in tags:
            return {}
        unit = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else None
        return {"resolution": (tags["XResolution"].value, tags["YResolution"].value), "resolutionunit": unit}


def _require_planar(shape: tuple | list) -> None:
    if len(shape) not in (2, 3):
        raise ValueError(f"has {len(shape)} dimensions, sections need 2 and stacks 3")


def _as_grey(path: str | Path, pixels: np.ndarray) -> np.ndarray:
    """Turn (width, height, channels) into (width, height) where that loses nothing."""
    channels = pixels.shape[-1]
    if channels not in (1, 2, 3, 4):
        raise ValueError(f"{path}: has {channels} channels, expected a grey image")
    colours = pixels[..., :3] if channels >= 3 else pixels[..., :1]
    if colours.shape[-1] > 1 and not (colours == colours[..., :1]).all():
        raise ValueError(f"{path}: is a colour image; a section is grey, so its colour channels have to agree")
    return np.ascontiguousarray(colours[..., 0])


def _reason(error: BaseException) -> str:
    """Give the last line of an error's message that says something, or else its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
