"""OME-Zarr volumes, 0.4 and 0.5: stacks in chunks, in several resolutions (https://ngff.openmicroscopy.org).

A volume here is a folder whose name ends in ``.zarr``, an image of the specification: multiscales of one array for each
resolution. Sections are its planes, with resolutions that are halved within the plane only, so that each section can be
written by itself.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from .files import reason
from .formats import MARK, Reader
from .pixel_size import NANOMETRES, believed
from .section import Header

__all__ = ["VERSIONS", "OMEZarrReader", "Volume", "open_file"]

VERSIONS = ("0.5", "0.4")
"""Of the specification, that are written."""

OWN = "mitochondria"
"""Attribute of a volume that this bundle wrote: whether it is complete, and what it was made of."""

MOST_CACHED = 2**30
"""Bytes of a slab of sections, stored in the same chunks, that are kept so that each chunk is read once."""

SMALLEST_LEVEL = 1024
"""Pixels of the longer side at which a pyramid ends."""


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
            places = {"t": 0, "c": channel or 0, "z": slice(first, first + depth)}
            index = tuple(places.get(name, slice(None)) for name in self._names)
            try:
                slab = self._array[index]
            except Exception as error:
                raise ValueError(f"section {page}: a chunk is damaged: {reason(error)}") from None
            self._slab = (first, channel), slab if "z" in self._names else slab[None]
        slab = self._slab[1]
        if depth == 1:
            self._slab = None
        return slab[page - first]


def open_file(path: str) -> Reader:
    """Open a volume."""
    return OMEZarrReader(path)


class Volume:
    """A volume that is being written, section by section, in any order and by any number of processes.

    Args:
        path: folder of an image of OME-Zarr that `create` made.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.group = zarr.open_group(path, mode="r+")
        image = self.group.attrs.get("ome", self.group.attrs)
        self.levels = [self.group[dataset["path"]] for dataset in image["multiscales"][0]["datasets"]]
        self.average = self.group.attrs[OWN]["average"]

    @classmethod
    def create(
        cls,
        path: str | Path,
        shape: tuple[int, int, int],
        dtype: Any,
        voxel_size_nm: Sequence[float | None] = (None, None, None),
        version: str = VERSIONS[0],
        chunk: int = SMALLEST_LEVEL,
        average: bool = True,
        label: bool = False,
        result: bool = False,
        **own: Any,
    ) -> Volume:
        """Make an empty volume, whole or not at all.

        Args:
            path: of the folder, which is not there yet; folders above it are made.
            shape: sections, height, width.
            dtype: pixel type.
            voxel_size_nm: distance of two sections, height and width of a pixel in nanometres; None where one is not
                known, which leaves the axis without a unit.
            version: of the specification, one of `VERSIONS`. In 0.5 a section of each resolution is one file (a shard).
            chunk: pixels to the side of what is read at once.
            average: whether coarser resolutions average pixels, or take every other one, as for labels.
            label: whether the pixels are numbers of objects.
            result: whether it is a segmentation, which is never taken for sections.
            **own: what else its attributes say of it.

        Returns:
            The volume.

        Raises:
            ValueError: there is no such version.
            OSError: it cannot be written.
        """
        if version not in VERSIONS:
            raise ValueError(f"version must be one of {', '.join(VERSIONS)}, but got {version!r}")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
            made = Path(folder) / path.name
            cls._make(made, shape, dtype, voxel_size_nm, version, chunk, average, label, result, own)
            os.replace(made, path)
        return cls(path)

    @staticmethod
    def _make(
        path: Path,
        shape: tuple[int, int, int],
        dtype: Any,
        voxel_size_nm: Sequence[float | None],
        version: str,
        chunk: int,
        average: bool,
        label: bool,
        result: bool,
        own: dict[str, Any],
    ) -> None:
        shapes = [shape]
        while max(shapes[-1][1:]) > SMALLEST_LEVEL:
            shapes.append((shape[0], *(max(1, -(-side // 2)) for side in shapes[-1][1:])))
        group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
        for level, size in enumerate(shapes):
            chunks = (1, *(min(chunk, side) for side in size[1:]))
            shards = (1, *(-(-side // width) * width for side, width in zip(size[1:], chunks[1:], strict=True)))
            group.create_array(
                str(level),
                shape=size,
                dtype=np.dtype(dtype),
                chunks=chunks,
                **({"shards": shards, "dimension_names": "zyx"} if version == "0.5" else {}),
                **({} if version == "0.5" else {"chunk_key_encoding": {"name": "v2", "separator": "/"}}),
            )
        image: dict[str, Any] = {"multiscales": [_multiscales(path.name, len(shapes), voxel_size_nm, average)]}
        if label:
            image["image-label"] = {"source": {"image": "../../"}}
        if version == "0.5":
            image = {"ome": {"version": version, **image}}
        else:
            image["multiscales"][0]["version"] = version
            if label:
                image["image-label"]["version"] = version
        marked = {"software": MARK} if result else {}
        group.attrs.update({**image, OWN: {"complete": False, "average": average, **marked, **own}})

    @classmethod
    def create_labels(cls, image: str | Path, name: str, shape: tuple[int, int, int], **options: Any) -> Volume:
        """Make empty labels of an image, numbers of objects; labels of that name that are there are replaced.

        Args:
            image: volume that they belong to.
            name: of the labels.
            shape: sections, height, width.
            **options: see `create`.

        Returns:
            The labels.
        """
        group = zarr.open_group(image, mode="r+")
        version = group.attrs.get("ome", {}).get("version", "0.4")
        labels = group.require_group("labels")
        known = labels.attrs.get("ome", labels.attrs).get("labels", [])
        listed = {"labels": sorted({*known, name})}
        labels.attrs.update({"ome": {"version": version, **listed}} if version == "0.5" else listed)
        path = Path(image) / "labels" / name
        if path.exists():
            shutil.rmtree(path)
        return cls.create(path, shape, np.uint32, version=version, average=False, label=True, result=True, **options)

    def write(self, page: int, section: NDArray) -> None:
        """Write a section in all resolutions, the full one last.

        Args:
            page: of the section, from 0.
            section: (height, width).
        """
        pyramid = [section]
        for level in self.levels[1:]:
            pyramid.append(_halved(pyramid[-1], level.shape[1:], self.average))
        for level, pixels in zip(reversed(self.levels), reversed(pyramid), strict=True):
            level[page] = pixels

    def own(self) -> dict[str, Any]:
        """What this bundle says of the volume."""
        return dict(self.group.attrs[OWN])

    def note(self, **own: Any) -> None:
        """Add to what this bundle says of the volume."""
        self.group.attrs.update({OWN: {**self.own(), **own}})

    def complete(self) -> None:
        """Say that all sections are written: until then the volume is not read."""
        self.note(complete=True)


def _halved(pixels: NDArray, shape: tuple[int, int], average: bool) -> NDArray:
    if not average:
        return pixels[::2, ::2]
    height, width = shape
    padded = np.pad(pixels, [(0, 2 * height - pixels.shape[0]), (0, 2 * width - pixels.shape[1])], mode="edge")
    total = padded[::2, ::2].astype(np.float64 if padded.dtype.itemsize > 2 else np.float32)
    for rows, columns in ((0, 1), (1, 0), (1, 1)):
        total += padded[rows::2, columns::2]
    total *= 0.25
    return total.astype(pixels.dtype) if pixels.dtype.kind == "f" else np.rint(total).astype(pixels.dtype)


def _multiscales(name: str, levels: int, voxel_size_nm: Sequence[float | None], average: bool) -> dict[str, Any]:
    axes = [
        {"name": axis, "type": "space", **({} if size is None else {"unit": "nanometer"})}
        for axis, size in zip("zyx", voxel_size_nm, strict=True)
    ]
    z, y, x = (1.0 if size is None else float(size) for size in voxel_size_nm)
    datasets = []
    for level in range(levels):
        scale = {"type": "scale", "scale": [z, y * 2**level, x * 2**level]}
        # the middle of an averaged pixel lies between those that it is made of
        shift = (2**level - 1) / 2 if average else 0
        steps = [scale, {"type": "translation", "translation": [0.0, y * shift, x * shift]}] if shift else [scale]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    return {"name": name, "axes": axes, "datasets": datasets, "type": "mean" if average else "nearest"}


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
    """The step of an axis in nanometres, None where its unit is none of lengths."""
    described = multiscales["axes"][axis]
    unit = described.get("unit") if isinstance(described, dict) else None
    factor = NANOMETRES.get(str(unit).lower())
    if factor is None:
        return None
    length = 1.0
    for step in [*dataset.get("coordinateTransformations", []), *multiscales.get("coordinateTransformations", [])]:
        if step.get("type") == "scale":
            length *= step["scale"][axis]
    return length * factor
