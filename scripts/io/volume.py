"""Writing of OME-Zarr volumes, block by block, in several resolutions."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from .formats import MARK
from .ome_zarr import OWN
from .own_labels import require_own_labels
from .reading import content_state

__all__ = ["VERSIONS", "Volume", "coarsest_pixel"]

VERSIONS = ("0.5", "0.4")
"""Of the specification, that are written."""

SMALLEST_LEVEL = 1024
"""Pixels of the longer side at which a pyramid ends."""

REPLACED = "replaced"
"""Name of the labels that are being replaced, for a moment."""


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
        block: Sequence[int] | None = None,
        **own: Any,
    ) -> Volume:
        """Make an empty volume, whole or not at all.

        Args:
            path: of the folder, which is not there yet; folders above it are made.
            shape: sections, height, width.
            dtype: pixel type.
            voxel_size_nm: distance of two sections, height and width of a pixel in nanometres; None where one is not
                known, which leaves the axis without a unit.
            version: of the specification, one of `VERSIONS`. In 0.5 a block of each resolution is one file (a shard).
            chunk: pixels to the side of what is read at once.
            average: whether coarser resolutions average pixels, or take every other one, as for labels.
            label: whether the pixels are numbers of objects.
            result: whether it is a segmentation, which is never taken for sections.
            block: height and width of the parts of a section that are written by themselves, multiples of `chunk`;
                None is the whole section.
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
            cls._make(made, shape, dtype, voxel_size_nm, version, chunk, average, label, result, block, own)
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
        block: Sequence[int] | None,
        own: dict[str, Any],
    ) -> None:
        shapes = _pyramid(shape)
        group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
        for level, size in enumerate(shapes):
            # what is written by itself has files of its own, in all resolutions
            parts = size[1:] if block is None else [side >> level for side in block]
            sides = [_sides(length, part, chunk) for length, part in zip(size[1:], parts, strict=True)]
            chunks, shards = zip((1, 1), *sides, strict=True)
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
    def create_labels(
        cls, image: str | Path, name: str, shape: tuple[int, int, int], overwrite: bool = False, **options: Any
    ) -> Volume:
        """Make empty labels of an image, numbers of objects; once complete they replace those of that name.

        Args:
            image: volume that they belong to.
            name: of the labels.
            shape: sections, height, width.
            overwrite: whether to replace labels that this bundle did not write.
            **options: see `create`.

        Returns:
            The labels, which lie in a hidden folder until they are complete.

        Raises:
            FileExistsError: see `require_own_labels`.
        """
        group = zarr.open_group(image, mode="r+")
        version = group.attrs.get("ome", {}).get("version", "0.4")
        group.require_group("labels")
        target = Path(image) / "labels" / name
        _restore(target)
        if not overwrite:
            require_own_labels(image, name)
        options |= {"version": version, "average": False, "label": True, "result": True}
        return _Labels.create(_hidden(target) / name, shape, np.uint32, **options)

    def restate(self, voxel_size_nm: Sequence[float | None]) -> None:
        """State another size of voxels, if it is another; see `create`."""
        known = self.group.attrs.get("ome", self.group.attrs)["multiscales"][0]
        wanted = {**known, **_multiscales(self.path.name, len(self.levels), voxel_size_nm, self.own()["average"])}
        if wanted != known:
            ome = self.group.attrs.get("ome")
            self.group.attrs.update(
                {"multiscales": [wanted]} if ome is None else {"ome": {**ome, "multiscales": [wanted]}}
            )

    def write(self, page: int, section: NDArray, origin: tuple[int, int] = (0, 0)) -> None:
        """Write a section, or a block of it, in all resolutions, the full one last.

        Args:
            page: of the section, from 0.
            section: (height, width).
            origin: row and column where a block begins, multiples of the size of blocks.

        Raises:
            ValueError: the pixels are of another type, whose values that of the volume cannot hold.
        """
        _require_room(section, self.levels[0].dtype, self.path)
        pyramid = [section]
        for number, level in enumerate(self.levels[1:], 1):
            left = [side - (start >> number) for side, start in zip(level.shape[1:], origin, strict=True)]
            half = [min(-(-side // 2), rest) for side, rest in zip(pyramid[-1].shape, left, strict=True)]
            pyramid.append(_halved(pyramid[-1], tuple(half), self.average))
        for number, pixels in reversed([*enumerate(pyramid)]):
            row, column = (start >> number for start in origin)
            self.levels[number][page, row : row + pixels.shape[0], column : column + pixels.shape[1]] = pixels

    def own(self) -> dict[str, Any]:
        """What this bundle says of the volume."""
        return dict(self.group.attrs[OWN])

    def note(self, **own: Any) -> None:
        """Add to what this bundle says of the volume."""
        self.group.attrs.update({OWN: {**self.own(), **own}})

    def complete(self) -> None:
        """Say that all sections are written: until then the volume is not read."""
        self.note(complete=True)


class _Labels(Volume):
    """Labels that are being written, and take the place of those that are there when they are complete."""

    def complete(self) -> None:
        """Say that all sections are written, and put the labels where they are read."""
        super().complete()
        target = self.path.parents[1] / self.path.name
        if target.exists():
            os.replace(target, self.path.parent / REPLACED)
        os.replace(self.path, target)
        shutil.rmtree(self.path.parent)
        self.__init__(target)
        labels = zarr.open_group(target.parent, mode="r+")
        known = labels.attrs.get("ome", labels.attrs).get("labels", [])
        listed = {"labels": sorted({*known, target.name})}
        version = self.group.attrs.get("ome", {}).get("version", "0.4")
        labels.attrs.update({"ome": {"version": version, **listed}} if version == "0.5" else listed)
        self.note(pixels=content_state(target)[-1])


def _hidden(labels: Path) -> Path:
    """Where labels are written until they are complete."""
    return labels.parent / f".{labels.name}"


def _restore(labels: Path) -> None:
    """Remove what a run left that was stopped; labels that it was about to replace are put back."""
    replaced = _hidden(labels) / REPLACED
    if replaced.exists() and not labels.exists():
        os.replace(replaced, labels)
    shutil.rmtree(_hidden(labels), ignore_errors=True)


def coarsest_pixel(shape: tuple[int, int, int]) -> int:
    """Tell how many pixels to the side are one in the coarsest resolution of a volume of this shape."""
    return 2 ** (len(_pyramid(shape)) - 1)


def _pyramid(shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Shapes of all resolutions."""
    shapes = [shape]
    while max(shapes[-1][1:]) > SMALLEST_LEVEL:
        shapes.append((shape[0], *(max(1, -(-side // 2)) for side in shapes[-1][1:])))
    return shapes


def _sides(length: int, block: int, chunk: int) -> tuple[int, int]:
    """Pixels of a chunk and of a shard along an axis: a shard is one block, or all where that is less."""
    if block >= length:
        chunk = min(chunk, length)
        return chunk, -(-length // chunk) * chunk
    block = max(1, block)
    return math.gcd(chunk, block), block


def _require_room(pixels: NDArray, dtype: np.dtype, path: Path) -> None:
    """Refuse pixels that would be wrapped or cut: Zarr turns them into its own type and says nothing."""
    if np.can_cast(pixels.dtype, dtype, "safe"):
        return
    values = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype) if dtype.kind == "f" else None
    integers = pixels.dtype.kind in "iu" and dtype.kind in "iu"
    real = pixels.dtype.kind == dtype.kind == "f"
    if not (integers or real) or not values.min <= pixels.min() <= pixels.max() <= values.max:
        raise ValueError(
            f"{path}: its pixels must be what {dtype} holds, but got {pixels.dtype} from {pixels.min()} to "
            f"{pixels.max()}"
        )


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
