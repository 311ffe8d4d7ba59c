"""The way through a stack: profiles are found, measured and linked, with three sections in memory at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from tqdm import tqdm

from scripts.instances import (
    Linker,
    Overlaps,
    count_pixels,
    join,
    measure_profiles,
    nearest_neighbours,
    renumber,
    separate,
    smooth_through,
    supported,
)
from scripts.io import write_atomically

from .stack import MaskStack

__all__ = ["Gathered", "Gathering", "labels_of", "outlines_of"]


@dataclass
class Gathered:
    """What is known of all profiles of a stack, a row for each.

    Attributes:
        section: int64, index of the section among those that are there.
        table: float64 (profiles, measures), see `scripts.instances.PROFILE_MEASURES`.
        neighbour: float64, distance to the nearest other profile.
        boxes: int64 (profiles, 4).
        score: float64, mean probability, or NaN.
        pixels: int64, area in pixels.
        objects: int64, number of the object, from 1.
        shared: overlaps of neighbouring sections, by row + 1.
        voxels: int32 (n, 4): row + 1, place in the stack, coarse row and column.
        coarse: pixels to the side of a coarse voxel.
        mitochondria: int64 (sections,), pixels in objects.
        tissue: int64 (sections,), pixels of tissue.
        frame: int64 (sections,), pixels of tissue in the counting frame.
        offsets: int64 (sections + 1,), first row of each section.
    """

    section: NDArray[np.int64]
    table: NDArray[np.float64]
    neighbour: NDArray[np.float64]
    boxes: NDArray[np.int64]
    score: NDArray[np.float64]
    pixels: NDArray[np.int64]
    objects: NDArray[np.int64]
    shared: Overlaps
    voxels: NDArray[np.int32]
    coarse: int
    mitochondria: NDArray[np.int64]
    tissue: NDArray[np.int64]
    frame: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @property
    def seen(self) -> NDArray[np.int64]:
        """Indices of the sections that show anything: one without tissue, as a constant one, is as a missing one."""
        return _seen(self.tissue, self.mitochondria)


@dataclass
class Gathering:
    """How profiles are found.

    Attributes:
        neck: see `scripts.instances.separate`.
        min_area: pixels, smaller profiles are left out.
        smoothing: weight of each neighbour in the average of probabilities, 0 is none; see `smooth_through`.
        min_agreement: see `smooth_through`.
        require_support: whether profiles that no neighbouring section continues are left out.
    """

    neck: float = 0.8
    min_area: int = 50
    smoothing: float = 0.0
    min_agreement: float = 0.4
    require_support: bool = False
    _cache: dict[int, tuple] = field(default_factory=dict, repr=False)
    _max_gap: int | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the settings, before hours are spent."""
        for name, highest in (("neck", 1), ("smoothing", 0.49), ("min_agreement", 1)):
            if not 0 <= getattr(self, name) <= highest:
                raise ValueError(f"{name} must be within [0, {highest}], but got {getattr(self, name)!r}")
        if type(self.min_area) is not int or self.min_area < 1:
            raise ValueError(f"min_area must be a whole number of pixels from 1 on, but got {self.min_area!r}")

    def run(
        self,
        stack: MaskStack,
        linker: Linker,
        work: Path,
        spacing: tuple[float, float],
        coarse: int,
        frame: tuple[slice, slice],
        pixel_size: tuple[float, float] | None = None,
    ) -> Gathered:
        """Go through the stack.

        Args:
            stack: what is read.
            linker: a new one.
            work: folder for what is found in each section, see `labels_of` and `outlines_of`; sections that an
                interrupted run left there, with the same settings, are not looked at again.
            spacing: height and width of a pixel.
            coarse: pixels to the side of the voxels that skeletons are made of.
            frame: rows and columns of the counting frame.
            pixel_size: [x, y] in nanometres, where it is known; it tells how wide resin is that is no tissue.

        Returns:
            What was found.

        Raises:
            ValueError: a file is damaged.
        """
        rows: dict[str, list] = {name: [] for name in ("section", "table", "neighbour", "boxes", "score", "pixels")}
        shared, links, voxels, counts = [Overlaps(*np.zeros((3, 0), np.int64))], [np.zeros((0, 2), np.int64)], [], []
        self._cache.clear()
        self._max_gap = linker.max_gap
        for index in tqdm(range(len(stack)), desc="finding objects", unit="section"):
            if not (work / f"{index}.npz").exists():
                self._measure(stack, index, work, spacing, frame, pixel_size)
            labels = labels_of(work, index)
            with np.load(work / f"{index}.npz") as file:
                found = {name: file[name] for name in (*rows, "counts") if name != "section"}
            before = linker.count
            counts.append(found.pop("counts"))
            if counts[-1][:2].any():  # a section without tissue and mitochondria is as a missing one
                overlaps, linked = linker.add(labels, stack.planes[index].position)
                shared.append(overlaps)
                links.append(linked)
            for name, values in found.items():
                rows[name].append(values)
            rows["section"].append(np.full(len(found["table"]), index))
            voxels.append(_coarse_voxels(labels, found["boxes"], before, stack.planes[index].position, coarse))
        self._cache.clear()
        offsets = np.cumsum([0, *(len(table) for table in rows["table"])])
        objects = join(linker.count, np.concatenate(links))
        names = ("first", "second", "pixels")
        mitochondria, tissue, inner = np.array(counts, np.int64).T
        positions = stack.positions[_seen(tissue, mitochondria)]
        return Gathered(
            **{name: np.concatenate(values) for name, values in rows.items()},
            objects=objects[1:],
            shared=Overlaps(*(np.concatenate([getattr(part, name) for part in shared]) for name in names)),
            voxels=_bridged(np.concatenate(voxels), positions, linker.max_gap),
            coarse=coarse,
            mitochondria=mitochondria,
            tissue=tissue,
            frame=inner,
            offsets=offsets,
        )

    def _measure(
        self,
        stack: MaskStack,
        index: int,
        work: Path,
        spacing: tuple[float, float],
        frame: tuple[slice, slice],
        pixel_size: tuple[float, float] | None,
    ) -> None:
        """Find the profiles of a section, and keep them."""
        labels, probability = self.labels(stack, index, spacing)
        grey = stack.section(index)
        tissue = stack.tissue(index, grey, pixel_size)
        profiles = measure_profiles(labels, spacing, grey, tissue)
        pixels = count_pixels(labels)
        tissue = np.ones(labels.shape, bool) if tissue is None else tissue
        write_atomically(
            work / f"{index}.tif",
            lambda path: tifffile.imwrite(path, labels, compression="zlib", compressionargs={"level": 1}),
        )
        found = {
            "table": profiles.table,
            "neighbour": nearest_neighbours(profiles.table[:, 10], profiles.table[:, 11]),
            "boxes": profiles.boxes,
            "score": _scores(labels, probability, pixels),
            "pixels": pixels[1:],
            "counts": [pixels[1:].sum(), np.count_nonzero(tissue), np.count_nonzero(tissue[frame])],
            "lengths": np.array([len(outline) for outline in profiles.outlines], np.int64),
            "points": np.concatenate([*profiles.outlines, np.zeros((0, 2))]),
        }
        # written last: it says that both are there
        write_atomically(work / f"{index}.npz", lambda path: np.savez(path, **found))

    def labels(
        self, stack: MaskStack, index: int, spacing: tuple[float, float]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        """Number the profiles of a section; see `separate`. With them come the probabilities, if there are any."""
        mask, probability = self._read(stack, index)
        beside = [None if other is None else self._read(stack, other) for other in self._beside(stack, index)]
        if probability is not None and self.smoothing > 0:
            scores = [None if neighbour is None else neighbour[1] for neighbour in beside]
            probability = smooth_through(probability, scores, stack.threshold, self.smoothing, self.min_agreement)
            mask = probability >= stack.threshold
        if stack.label_format == "instances":
            labels = _renumbered(mask, self.min_area)
        else:
            labels = separate(mask > 0, self.neck, self.min_area, spacing)
        if self.require_support:
            kept = supported(labels, [None if neighbour is None else neighbour[0] > 0 for neighbour in beside])
            labels = _renumbered(labels * renumber(labels, kept))
        return labels, probability

    def _beside(self, stack: MaskStack, index: int) -> tuple[int | None, ...]:
        """The neighbours that say something of a section: none beyond what is an end."""
        if self.smoothing == 0 and not self.require_support:
            return ()
        return self._next(stack, index, -1), self._next(stack, index, 1)

    def _next(self, stack: MaskStack, index: int, step: int) -> int | None:
        """The next section that shows anything, as far as objects are followed."""
        other, place = index + step, stack.planes[index].position
        while 0 <= other < len(stack):
            gap = abs(stack.planes[other].position - place) - 1
            if self._max_gap is not None and gap > self._max_gap:
                return None
            if (self._read(stack, other)[0] > 0).any() or not stack.blank(other):
                return other
            other += step
        return None

    def _read(self, stack: MaskStack, index: int) -> tuple[NDArray, NDArray[np.float32] | None]:
        if index not in self._cache:
            for old in [key for key in self._cache if key < index - 1]:
                del self._cache[old]
            self._cache[index] = stack.mask(index)
        return self._cache[index]


def labels_of(work: Path, index: int) -> NDArray[np.int32]:
    """Read the labels of a section that `Gathering.run` left."""
    return tifffile.imread(work / f"{index}.tif")


def outlines_of(work: Path, index: int) -> list[NDArray[np.float32]]:
    """Read the outlines of a section that `Gathering.run` left."""
    with np.load(work / f"{index}.npz") as file:
        return np.split(file["points"].astype(np.float32), np.cumsum(file["lengths"]))[:-1]


def _seen(tissue: NDArray[np.int64], mitochondria: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.flatnonzero((tissue > 0) | (mitochondria > 0))


def _renumbered(labels: NDArray[np.integer], min_area: int = 1) -> NDArray[np.int32]:
    areas = count_pixels(labels)
    kept = areas >= min_area
    kept[0] = False
    return renumber(labels, np.where(kept, np.cumsum(kept), 0).astype(np.int32))


def _scores(
    labels: NDArray[np.int32], probability: NDArray[np.float32] | None, pixels: NDArray[np.int64]
) -> NDArray[np.float64]:
    if probability is None:
        return np.full(len(pixels) - 1, np.nan)
    return np.bincount(labels.ravel(), probability.ravel(), len(pixels))[1:] / pixels[1:]


def _coarse_voxels(
    labels: NDArray[np.int32], boxes: NDArray[np.int64], before: int, position: int, coarse: int
) -> NDArray[np.int32]:
    """Every `coarse`-th pixel in objects; an object between them all is the middle of its box."""
    sampled = labels[coarse // 2 :: coarse, coarse // 2 :: coarse]
    y, x = np.nonzero(sampled)
    number = sampled[y, x]
    lost = np.setdiff1d(np.arange(1, len(boxes) + 1), number)
    middle = (boxes[lost - 1, :2] + boxes[lost - 1, 2:]) // 2 // coarse
    rows = np.column_stack([number, np.full(len(number), position), y, x])
    rows = np.vstack([rows, np.column_stack([lost, np.full(len(lost), position), middle])])
    return (rows + np.array([before, 0, 0, 0])).astype(np.int32)


def _bridged(voxels: NDArray[np.int32], positions: NDArray[np.int64], max_gap: int) -> NDArray[np.int32]:
    """Let missing sections look like those before them, so that a path leads through."""
    copies = [voxels]
    for before, after in zip(positions[:-1].tolist(), positions[1:].tolist(), strict=True):
        if 1 < after - before <= max_gap + 1:
            last = voxels[voxels[:, 1] == before]
            copies += [last + np.array([0, step, 0, 0], np.int32) for step in range(1, after - before)]
    return np.concatenate(copies)
