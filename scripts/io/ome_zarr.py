"""OME-Zarr volumes, 0.4 and 0.5: stacks in chunks, in several resolutions (https://ngff.openmicroscopy.org).

A volume here is a folder whose name ends in ``.zarr``, an image of the specification: multiscales of one array for each
resolution. Sections are its planes, with resolutions that are halved within the plane only, so that each section can be
written by itself.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator

import numpy as np
import zarr
from numpy.typing import NDArray

from .files import reason
from .formats import MARK, Reader
from .pixel_size import NANOMETRES, believed
from .section import Header

__all__ = ["OMEZarrReader", "open_file", "pixel_files"]

OWN = "mitochondria"
"""Attribute of a volume that this bundle wrote: whether it is complete, and what it was made of."""

MOST_CACHED = 2**30
"""Bytes of a slab of sections, stored in the same chunks, that are kept so that each chunk is read once."""


class OMEZarrReader(Reader):
    """A volume in OME-Zarr, in its full resolution."""

    def __init__(self, path: str) -> None:
        try:
            group = zarr.open_group(path, mode="r")
        except (ValueError, KeyError, FileNotFoundError, TypeError) as error:
            raise ValueError(f"is no group of OME-Zarr: {reason(error)}") from None
        attributes = dict(group.attrs)
        own = attributes.get(OWN, {})
        if own and not own.get("complete"):
            raise ValueError("is not complete: the command that writes it was interrupted; call it again")
        image = attributes.get("ome", attributes)
        if not image.get("multiscales"):
            raise ValueError("must be an image of OME-Zarr with multiscales, but has none")
        multiscales = image["multiscales"][0]
        dataset = multiscales["datasets"][0]
        array = group[dataset["path"]]
        self._array = array
        self._names = [axis["name"] if isinstance(axis, dict) else axis for axis in multiscales.get("axes", [])]
        self._check_axes(array)
        sizes = dict(zip(self._names, array.shape, strict=True))
        size, doubt = _pixel_size(multiscales, dataset)
        thickness = _length(multiscales, dataset, self._names.index("z")) if "z" in self._names else None
        thickness = thickness if thickness is not None and 0 < thickness < math.inf else None
        self._slab: tuple[tuple, NDArray] | None = None
        self.header = Header(
            path,
            sizes["x"],
            sizes["y"],
            sizes.get("z", 1),
            np.dtype(array.dtype).name,
            channels=sizes.get("c", 1),
            pixel_size_nm=size,
            doubt=doubt,
            form={"section_thickness_nm": thickness},
            result=own.get("software") == MARK,
        )

    def _check_axes(self, array: zarr.Array) -> None:
        known = [name for name in "tczyx" if name in self._names]
        if self._names != known or not {"y", "x"} <= {*known} or len(known) != array.ndim:
            raise ValueError(
                f"must have the axes y and x, with t, c and z before them, but has {', '.join(self._names) or 'none'} "
                f"for an array of {array.ndim} axes"
            )
        if "t" in known and array.shape[0] != 1:
            raise ValueError(f"must be of one point in time, but has {array.shape[0]}")

    def read_window(self, page: int, rows: slice, columns: slice, channel: int | None = None) -> np.ndarray:
        """Read a part of a section, and no more than its chunks.

        Args:
            page: as for `read`.
            rows: of the part.
            columns: of it.
            channel: as for `read`.

        Returns:
            Array (rows, columns).

        Raises:
            ValueError: a chunk is damaged.
        """
        return self._pixels(page, {"c": channel or 0, "z": page, "y": rows, "x": columns})

    def read(self, page: int, channel: int | None = None) -> np.ndarray:
        """Read one section; see `Reader`."""
        depth = 1
        if "z" in self._names:
            # a shard is read in its chunks, but a chunk as a whole
            depth = self._array.chunks[self._names.index("z")]
            plane = self.header.width * self.header.height * self._array.dtype.itemsize
            depth = depth if depth * plane <= MOST_CACHED else 1
        first = page // depth * depth
        if self._slab is None or self._slab[0] != (first, channel):
            slab = self._pixels(page, {"c": channel or 0, "z": slice(first, first + depth)})
            self._slab = (first, channel), slab if "z" in self._names else slab[None]
        slab = self._slab[1]
        if depth == 1:
            self._slab = None
        return slab[page - first]

    def pages_in(self, file: str) -> range:
        """Tell which sections a file of `pixel_files` holds a part of.

        Args:
            file: its path.

        Returns:
            Their numbers; all of them where the file is none of a chunk.
        """
        key = os.path.relpath(file, os.path.join(self.header.path, self._array.path))
        places = re.split(r"[/.]", re.sub(r"^c[/.]", "", key))
        if "z" not in self._names or len(places) != len(self._names) or not all(map(str.isdigit, places)):
            return range(self.header.pages)
        axis = self._names.index("z")
        depth = (self._array.shards or self._array.chunks)[axis]
        first = int(places[axis]) * depth
        return range(first, min(first + depth, self.header.pages))

    def _pixels(self, page: int, places: dict[str, int | slice]) -> np.ndarray:
        try:
            return self._array[tuple({"t": 0, **places}.get(name, slice(None)) for name in self._names)]
        except Exception as error:
            raise ValueError(f"section {page}: a chunk is damaged: {reason(error)}") from None


def open_file(path: str) -> Reader:
    """Open a volume."""
    return OMEZarrReader(path)


def pixel_files(path: str) -> Iterator[str]:
    """List the chunks of the full resolution, and no others: labels and results lie in a volume too."""
    attributes = dict(zarr.open_group(path, mode="r").attrs)
    image = attributes.get("ome", attributes)
    for folder, folders, files in os.walk(os.path.join(path, image["multiscales"][0]["datasets"][0]["path"])):
        folders.sort()
        yield from (os.path.join(folder, file) for file in sorted(files))


def _pixel_size(multiscales: dict, dataset: dict) -> tuple[tuple[float, float] | None, str | None]:
    """The pixel size of the full resolution, in nanometres."""
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in multiscales["axes"][-2:]]
    if units == [None, None]:
        return None, None
    y, x = (_length(multiscales, dataset, axis) for axis in (-2, -1))
    if x is None or y is None:
        return None, f"axes in {units[0]} and {units[1]}: their units are not those of lengths"
    return believed(x, y, "scale")


def _length(multiscales: dict, dataset: dict, axis: int) -> float | None:
    """The step of an axis in nanometres, None where its unit is none of lengths, NaN where it is no number."""
    described = multiscales["axes"][axis]
    unit = described.get("unit") if isinstance(described, dict) else None
    factor = NANOMETRES.get(str(unit).lower())
    if factor is None:
        return None
    length = 1.0
    for step in [*dataset.get("coordinateTransformations", []), *multiscales.get("coordinateTransformations", [])]:
        if step.get("type") == "scale":
            try:
                length *= float(step["scale"][axis])
            except (IndexError, KeyError, TypeError, ValueError):
                return math.nan
    return length * factor
