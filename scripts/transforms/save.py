"""Writing of results."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, SaveImaged
from monai.utils import ImageMetaKey
from numpy.typing import NDArray

from scripts.grey_levels.blocks import row_slices
from scripts.io import PageStore, Section, is_volume, made_of, read_header, result_path, write_result

__all__ = ["SaveSectiond"]


class SaveSectiond(SaveImaged):
    """Write a result in the format, size and orientation of its section, complete or not at all.

    The sections of a stack are kept as files until the last of them has come, and are written as one stack then, so
    that a run that was interrupted goes on from there. Being a ``SaveImaged``, it is left out by servers that write
    results themselves. Results state the pixel size that was used, unless it was assumed.

    Args:
        keys: results (1, width, height).
        output_dir: folder of the results, or a volume that `scripts.volumes` has made.
        output_postfix: appended to the name of the section's file.
        output_dtype: pixel type, for instance ``"uint8"``.
        scale: factor applied before the conversion, for instance 255 to make a mask of 0/1 viewable.
        overwrite: whether to replace a result that exists, which may have been corrected by hand.
        image_key: the section itself; its meta data name the file.
        made_by: what results depend on besides the section, such as weights and thresholds, as JSON holds it: pages of
            a stack that were made by something else are not mixed with those that are written, and the output folder
            gets a record of it, which later runs look at; None keeps none.
        allow_missing_keys: whether a key may be missing.

    Raises:
        OSError: the result cannot be written.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | Path,
        output_postfix: str,
        output_dtype: str = "uint8",
        scale: float = 1,
        overwrite: bool = False,
        image_key: str = "image",
        allow_missing_keys: bool = False,
        made_by: Mapping[str, Any] | None = None,
    ) -> None:
        # SaveImaged would build MONAI's own writer, which neither writes whole stacks nor keeps what was there
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.output_dir = Path(output_dir)
        self.output_postfix = output_postfix
        self.output_dtype = np.dtype(output_dtype)
        self.scale = scale
        self.overwrite = overwrite
        self.image_key = image_key
        self.made_by = made_by
        self._begun: set[str] = set()
        self._made_of: dict[str, dict[str, Any]] = {}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the results of one section."""
        d = dict(data)
        meta = d[self.image_key].meta
        image, page = meta[ImageMetaKey.FILENAME_OR_OBJ], int(meta.get("page", 0))
        for key in self.key_iterator(d):
            pixels = d[key].detach().cpu().numpy()[0]
            if self.output_dtype.kind in "iu":
                pixels = self._integers(pixels)
            else:
                pixels = (pixels if self.scale == 1 else pixels * self.scale).astype(self.output_dtype, copy=False)
            inner = meta.get("inner", ...)  # a part of a section comes with what surrounds it
            if is_volume(self.output_dir):
                self._write_plane(page, pixels[inner], meta.get("origin", (0, 0)))
            else:
                self._write(image, page, pixels[inner], _known_pixel_size(meta))
        return d

    def _integers(self, pixels: NDArray) -> NDArray:
        """Scale and round, a part at a time: as floating point a section is four times as large as its result."""
        result = np.empty(pixels.shape, self.output_dtype)
        for part in row_slices(pixels.shape):
            scaled = np.multiply(pixels[part], self.scale, dtype=np.float32)
            result[part] = np.rint(scaled, out=scaled)
        return result

    def _write(self, image: str, page: int, pixels: np.ndarray, pixel_size_nm: tuple[float, float] | None) -> None:
        path = result_path(image, self.output_dir, self.output_postfix, self.output_dtype.name)
        if path.exists() and not self.overwrite:
            return
        header = read_header(image)
        if self.overwrite and header.pages > 1 and image not in self._begun:
            PageStore(path).clear()  # of an earlier run
        self._begun.add(image)
        section = Section(header, page, pixel_size_nm=pixel_size_nm or header.pixel_size_nm)
        if (header.pages > 1 or self.made_by is not None) and image not in self._made_of:
            self._made_of[image] = made_of(image, self.made_by)
        if write_result(path, page, pixels, section, self._made_of.get(image)):
            self._begun.discard(image)
            self._made_of.pop(image, None)

    def _write_plane(self, page: int, pixels: np.ndarray, origin: tuple[int, int]) -> None:
        """Write into a volume that is there: the mask is the volume itself, other results lie in it by their names."""
        from scripts.io.volume import Volume

        mask = self.output_postfix == "mitochondria"
        Volume(self.output_dir if mask else self.output_dir / f"{self.output_postfix}.zarr").write(
            page, pixels.T, origin[::-1]
        )


def _known_pixel_size(meta: Mapping[str, Any]) -> tuple[float, float] | None:
    """Nanometres (x, y) that a person, a list or the file states, None where they were assumed."""
    if not meta.get("pixel_size_known", False):
        return None
    return tuple(np.asarray(meta["pixel_size"], np.float64).reshape(-1).tolist())
