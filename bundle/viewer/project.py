"""What a person makes of a stack in the viewer, in a folder beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from bundle.runs import ROOT
from scripts.io import (
    find_sections,
    lock,
    parse_pixel_size,
    parse_section_thickness,
    read_section,
    require_writable,
    result_path,
    write_json,
    write_result,
    write_section,
)
from scripts.weights import copy_weights

from .origin import LABELS, RECORD, choose_folder, default_folder, files_of, read_record, require_own, require_same
from .regions import Region, bounding_box, mask_of

__all__ = ["Project", "default_folder"]

CHUNK = 512
"""Pixels to the side of what a stroke of the brush writes anew."""


class Project:
    """A stack, the labels and reviewed regions that a person has made of it, and the weights that came of them.

    All that changes is written as it changes: a viewer that is killed opens where it was. One process at a time may
    have a folder open.

    Args:
        source: what `scripts.io.find_sections` takes, sections of one size.
        folder: where everything is kept; None takes `choose_folder`.
        pixel_size: of the sections in nanometres, a number or [x, y]; None takes what was stated before, or what the
            files say.
        section_thickness: distance of two sections in nanometres; None as for the pixel size.
        channel: which to read where files have several, from 0.
        locked: whether no other process may have the folder open meanwhile; what only reads need not lock it.

    Attributes:
        sections: of the stack.
        labels: uint8 (sections, height, width) on disk: 1 in mitochondria, else 0.
        regions: that are reviewed; see `set_regions`.

    Raises:
        FileNotFoundError: there are no sections.
        ValueError: sections differ in size, labels that are there have another size or were made on other sections, or
            the folder holds what others made.
        OSError: the folder cannot be written, or another viewer has it open.
    """

    def __init__(
        self,
        source: str | Path,
        folder: str | Path | None = None,
        pixel_size: float | Sequence[float] | None = None,
        section_thickness: float | None = None,
        channel: int | None = None,
        locked: bool = True,
    ) -> None:
        self.source = str(source)
        self.channel = channel
        self.sections = find_sections(source, channel, results=False)
        first = self.sections[0]
        self.shape = (len(self.sections), first.height, first.width)
        for section in self.sections:
            if (section.width, section.height) != (first.width, first.height):
                raise ValueError(
                    f"{section.path}: has {section.width}x{section.height} pixels, but {Path(first.path).name} has "
                    f"{first.width}x{first.height}: sections of one stack must have one size. Align them first, by "
                    "python -m monai.bundle run registration, or open those of one size by a pattern"
                )
        self.folder = choose_folder(source) if folder is None else Path(folder).absolute()
        require_own(self.folder)
        require_writable(self.folder)
        refusal = f"{self.folder}: another viewer has this stack open"
        self._lock: int | None = lock(self.folder / ".lock", refusal) if locked else None
        try:
            self._load(pixel_size, section_thickness)
        except (OSError, ValueError):
            self.close()
            raise

    def _load(self, pixel_size: float | Sequence[float] | None, section_thickness: float | None) -> None:
        """Take up what is there."""
        known, first = read_record(self.folder / RECORD, {}), self.sections[0]
        require_same(self.folder, known, self.source, self.sections)
        stated = pixel_size if pixel_size is not None else known.get("pixel_size_nm")
        size = first.pixel_size_nm if stated is None else tuple(parse_pixel_size(stated, "pixel_size"))
        own = first.header.form.get("section_thickness_nm")
        self.pixel_size = None if size is None else [float(value) for value in size]
        thickness = known.get("section_thickness_nm", own) if section_thickness is None else section_thickness
        self.thickness = parse_section_thickness(thickness)
        self.labels = self._open_labels()
        self.regions = [Region.load(entry) for entry in read_record(self.folder / "regions.json", [])]
        if self._lock is not None:
            self._keep()

    @property
    def arguments(self) -> dict[str, Any]:
        """What another process opens the same stack by."""
        return {"source": self.source, "folder": str(self.folder), "channel": self.channel}

    def close(self) -> None:
        """Let others open the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def weights(self) -> Path:
        """The weights in use: those that were taught here, or the shipped ones."""
        taught = self.folder / "model.pt"
        return taught if taught.exists() else ROOT / "models" / "model.pt"

    def set_thickness(self, value: float | None) -> None:
        """Remember the distance of two sections.

        Args:
            value: nanometres, or None where it is not known.

        Raises:
            ValueError: it is out of range.
            OSError: it cannot be kept.
        """
        self.thickness = parse_section_thickness(value)
        self._keep()

    def set_regions(self, regions: Sequence[Region]) -> None:
        """Keep the reviewed regions.

        A third of them, from the third on, is held out of teaching, to tell whether it helped; a region stays what it
        was when it was drawn.

        Args:
            regions: all that there are; `held_out` is None where it is to be chosen.

        Raises:
            ValueError: a region lies outside of its section, or is empty; nothing is kept then.
            OSError: they cannot be kept.
        """
        chosen, held = [], sum(bool(region.held_out) for region in regions)
        for number, region in enumerate(regions, 1):
            if not mask_of([region], self.shape[1:], region.section).any() or not 0 <= region.section < self.shape[0]:
                raise ValueError(f"region {number} lies outside of the sections: draw it over tissue, or remove it")
            if region.held_out is None:
                region = replace(region, held_out=held < number // 3)
                held += region.held_out
            chosen.append(region)
        write_json(self.folder / "regions.json", [region.content() for region in chosen])
        self.regions = chosen

    def reviewed(self, section: int, held_out: bool | None = None) -> NDArray[np.bool_]:
        """Tell where the labels of a section are complete.

        Args:
            section: its number, from 0.
            held_out: of which regions; None takes all.

        Returns:
            (height, width).
        """
        return mask_of([r for r in self.regions if held_out in (None, bool(r.held_out))], self.shape[1:], section)

    def segmented(self, section: int, mask: NDArray) -> tuple[tuple[NDArray[np.int64], ...], NDArray[np.uint8]]:
        """Tell what a mask of the network changes. Reviewed regions stay as the person left them.

        Args:
            section: its number, from 0.
            mask: (height, width), not 0 in mitochondria.

        Returns:
            Indices into `labels`, and the values there.
        """
        old = self.labels[section]
        new = np.where(self.reviewed(section), old, mask > 0)
        rows, columns = np.nonzero(new != old)
        return (np.full(len(rows), section), rows, columns), new[rows, columns].astype(np.uint8)

    def write_teaching(self, folder: Path) -> None:
        """Write the reviewed regions as a data set to train on, as ``run training`` takes it.

        Validation has the regions that are held out, or all of them where there is no mitochondrion in those.

        Args:
            folder: that is made.

        Raises:
            ValueError: there are no regions, or no mitochondria in them.
            OSError: it cannot be written.
        """
        if not self.regions:
            raise ValueError("no region is reviewed yet: draw one in which every mitochondrion is labelled")
        if not self._inside(False):
            raise ValueError(
                "there is no mitochondrion in the regions to learn from: label them, or draw a region around some"
            )
        content: dict[str, Any] = {} if self.pixel_size is None else {"pixel_size_nm": self.pixel_size}
        content["training"] = content["validation"] = self._items(folder, "training", held_out=False)
        if self._inside(True):
            content["validation"] = self._items(folder, "validation", held_out=True)
        write_json(folder / "datalist.json", content)

    def write_masks(self, folder: Path) -> None:
        """Write the labels as masks, as ``run inference`` names and writes them.

        Args:
            folder: of the masks; what it held is removed.

        Raises:
            ValueError: two sections would have one mask; nothing is removed then.
            OSError: they cannot be written.
        """
        paths = [result_path(section.path, folder, "mitochondria", "uint8") for section in self.sections]
        owners: dict[Path, str] = {}
        for path, section in zip(paths, self.sections, strict=True):
            if owners.setdefault(path, section.path) != section.path:
                raise ValueError(
                    f"{section.path}: must have another name than {owners[path]} to be measured with it, as masks are "
                    f"named by their sections, but got {path.name} for both"
                )
        shutil.rmtree(folder, ignore_errors=True)
        for index, (path, section) in enumerate(zip(paths, self.sections, strict=True)):
            pixels = self._mask(index)
            size = None if self.pixel_size is None else tuple(self.pixel_size)
            write_result(path, section.page, pixels, replace(section, pixel_size_nm=size))

    def use(self, weights: Path) -> None:
        """Take weights for all that follows.

        Args:
            weights: of a training here.

        Raises:
            OSError: they cannot be copied.
        """
        copy_weights(weights, self.folder / "model.pt")

    def _mask(self, index: int) -> NDArray[np.uint8]:
        """The labels of a section as (width, height): any number that a person painted with is a mitochondrion."""
        return np.where(self.labels[index] > 0, 255, 0).astype(np.uint8).T

    def _inside(self, held_out: bool) -> bool:
        """Whether there is a mitochondrion in the regions to learn from, or in those that are held out."""
        sections = {region.section for region in self.regions if bool(region.held_out) == held_out}
        return any((self.labels[s] * self.reviewed(s, held_out)).any() for s in sections)

    def _items(self, folder: Path, part: str, held_out: bool) -> list[dict[str, Any]]:
        items = []
        for index in sorted({region.section for region in self.regions if bool(region.held_out) == held_out}):
            known = self.reviewed(index, held_out)
            if not held_out:
                known &= ~self.reviewed(index, True)
            if not known.any():
                continue
            name, section = f"{part}_{index:06d}.tif", self.sections[index]
            top, left, bottom, right = bounding_box(known)
            for kind, pixels in (
                ("images", read_section(section)),
                ("labels", self._mask(index)),
                ("known", (255 * known).astype(np.uint8).T),
            ):
                write_section(folder / kind / name, pixels)
            files = {"image": f"images/{name}", "label": f"labels/{name}", "known": f"known/{name}"}
            items.append({**files, "region": [left, top, right, bottom]})
        return items

    def _open_labels(self) -> zarr.Array:
        path = self.folder / LABELS
        if not path.exists():
            chunks = (1, *(min(CHUNK, side) for side in self.shape[1:]))
            return zarr.create_array(path, shape=self.shape, dtype=np.uint8, chunks=chunks)
        labels = zarr.open_array(path, mode="r+")
        if labels.shape != self.shape:
            was, now = ("{0} sections of {2}x{1} pixels".format(*shape) for shape in (labels.shape, self.shape))
            raise ValueError(
                f"{path}: holds labels of {was}, but the stack has {now}. Open the stack that they were made for, or "
                "keep the labels of this one elsewhere, by --output_dir"
            )
        return labels

    def _keep(self) -> None:
        stated = {"pixel_size_nm": self.pixel_size, "section_thickness_nm": self.thickness}
        files = {"sections": self.source, "files": files_of(self.sections)}
        write_json(self.folder / RECORD, {**files, **stated})
