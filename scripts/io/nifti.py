"""NIfTI files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from .formats import MARK, Reader
from .pixel_size import NANOMETRES, believed
from .section import ROUNDING, Header

__all__ = ["NiftiReader", "open_file", "write"]


class NiftiReader(Reader):
    """A NIfTI volume, whose third axis is that of the sections."""

    def __init__(self, path: str) -> None:
        image = nib.load(path)
        shape = image.shape
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) not in (2, 3):
            raise ValueError(f"has {len(shape)} dimensions, sections need 2 and stacks 3")
        if image.get_data_dtype().names:
            raise ValueError("has colours in its voxels; save it as grey levels")
        self._image, self._shape, self._volume = image, shape, None
        self._compressed = path.lower().endswith(".gz")
        affine, unit = _place_in_file(image)
        size, doubt = None, None
        if unit in NANOMETRES:
            x, y = (float(length) * NANOMETRES[unit] for length in image.header.get_zooms()[:2])
            size, doubt = believed(x, y, "pixdim")
        self.header = Header(
            path,
            int(shape[0]),
            int(shape[1]),
            int(np.prod(shape[2:], dtype=int)),
            # of what is read: values that the header scales become real numbers
            dtype=np.asarray(image.dataobj[(slice(0, 1),) * image.ndim]).dtype.name,
            pixel_size_nm=size,
            doubt=doubt,
            affine=tuple(map(tuple, affine.tolist())),
            form={"dimensions": len(shape), "unit": unit},
            result=image.header["descrip"].item().startswith(MARK.encode()),
        )

    def read(self, page: int, channel: int | None = None) -> np.ndarray:
        """Read one section; see `Reader`."""
        if self._compressed:
            if self._volume is None:  # once for all its pages
                self._volume = np.asarray(self._image.dataobj).reshape(self._shape)
            volume = self._volume
        else:
            volume = self._image.dataobj  # the slicing reads no more of the file than the page
        if len(self._shape) == 2:
            return np.asarray(volume).reshape(self._shape).T
        return np.asarray(volume[:, :, page]).reshape(self._shape[:2]).T


def open_file(path: str) -> Reader:
    """Open a NIfTI file."""
    return NiftiReader(path)


def write(
    path: Path, pages: Sequence[np.ndarray], like: Header | None, pixel_size_nm: Sequence[float] | None, result: bool
) -> None:
    """Write a NIfTI file; see `scripts.io.writing`."""
    volume = np.stack([page.T for page in pages], axis=-1)
    if volume.shape[2] == 1 and (like is None or like.form["dimensions"] == 2):
        volume = volume[..., 0]
    affine, unit = _place(like, pixel_size_nm)
    image = nib.Nifti1Image(volume, affine)
    if unit in NANOMETRES:
        image.header.set_xyzt_units(unit)
        _state_pixel_size(image, unit, pixel_size_nm)
    if result:
        image.header["descrip"] = MARK.encode()
    nib.save(image, path)


def _place_in_file(image: nib.Nifti1Image) -> tuple[np.ndarray, str]:
    """The affine of a file and its unit: in pixels, of no unit, where its numbers are no place in space."""
    affine = np.array(image.affine, dtype=np.float64)
    try:
        unit = image.header.get_xyzt_units()[0]
    except KeyError:  # a code that means nothing
        unit = "unknown"
    if not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        zooms = [float(step) for step in (*image.header.get_zooms()[:3], 1.0)[:3]]
        usable = all(np.isfinite(step) and step > 0 for step in zooms)
        return (np.diag([*zooms, 1.0]), unit) if usable else (np.eye(4), "unknown")
    return affine, unit


def _state_pixel_size(image: nib.Nifti1Image, unit: str, pixel_size_nm: Sequence[float] | None) -> None:
    """Let pixdim say the pixel size where the place in space says another one, as files of some programs do."""
    steps = [] if pixel_size_nm is None else [length / NANOMETRES[unit] for length in pixel_size_nm]
    if not np.allclose(steps, image.header["pixdim"][1 : 1 + len(steps)], rtol=ROUNDING, atol=0):
        image.header["pixdim"][1:3] = steps


def _place(like: Header | None, pixel_size_nm: Sequence[float] | None) -> tuple[np.ndarray | None, str | None]:
    """The affine of a result and its unit: those of its section, but for a pixel size that is not the file's own."""
    affine, unit = (None, None) if like is None else (np.array(like.affine), like.form["unit"])
    if pixel_size_nm is None or (like is not None and like.states(pixel_size_nm)):
        return affine, unit
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if affine is None else affine
    known, unit = unit in NANOMETRES, unit if unit in NANOMETRES else "micron"
    for axis, length in enumerate(pixel_size_nm):
        share = length / NANOMETRES[unit] / np.linalg.norm(affine[:3, axis])
        affine[:3, axis] *= share
    if not known:
        affine[:3, 2:] *= share  # lengths without a unit are in that of the pixels
    return affine, unit
