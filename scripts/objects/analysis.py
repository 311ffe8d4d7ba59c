"""Analysis of the objects of a stack."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.instances import (
    Frame,
    Linker,
    complexity_index,
    ends,
    heights,
    renumber,
    skeletonize,
    sphericity,
    surfaces,
    volumes,
)
from scripts.io import (
    content_state,
    lies_in,
    parse_pixel_size,
    parse_section_thickness,
    read_header,
    require_writable,
    same_pixel_size,
    write_json,
    write_text,
)
from scripts.io.discovery import natural

from .columns import OBJECT_COLUMNS, PROFILE_COLUMNS, columns_markdown, headers
from .gathering import Gathered, Gathering, labels_of, outlines_of
from .outputs import write_instances, write_labels, write_rois, write_table
from .placing import at_planes, planes_of
from .report import write_report
from .stack import MaskStack
from .summary import summarize

__all__ = ["ObjectAnalysis"]

logger = logging.getLogger(__name__)


class ObjectAnalysis:
    """Number, measure and count the objects of a stack.

    In the output folder appear ``<name>_instances.tif``, ``profiles.csv``, ``mitochondria.csv``, ``columns.md``,
    ``rois.zip``, ``report.html`` and, last, ``summary.json``; each is complete or not there. A run whose settings
    and files are those of a finished one does nothing; one that was stopped goes on after the last section that was
    measured.

    Args:
        stack: masks or probabilities, with or without sections.
        output_dir: folder of the results.
        gathering: how profiles are found.
        linker: how they are linked through the stack, a new one.
        name: how the instances are called; None takes the name of the folder of masks.
        pixel_size: of the sections in nanometres, one number or [x, y]; None takes what the list of sections states,
            and without it lengths are in pixels.
        section_thickness: distance of two sections in nanometres; without it, or without a pixel size, there are no
            volumes, surfaces, lengths and densities in space.
        guard: pixels on all sides that the counting frame leaves free; see `scripts.instances.Frame`.
        overwrite: whether to replace what another run left.
        labels_of: an OME-Zarr volume that gets the instances as its labels "mitochondria", in place of the TIFF.

    Raises:
        ValueError: an argument is out of range, or the list states more than one pixel size.
    """

    def __init__(
        self,
        stack: MaskStack,
        output_dir: str | Path,
        gathering: Gathering | None = None,
        linker: Linker | None = None,
        name: str | None = None,
        pixel_size: float | Sequence[float] | None = None,
        section_thickness: float | None = None,
        guard: int = 0,
        overwrite: bool = False,
        labels_of: str | Path | None = None,
    ) -> None:
        self.stack = stack
        self.output_dir = Path(output_dir)
        self.gathering = gathering or Gathering()
        self.linker = linker or Linker()
        self.name = name or Path(stack.planes[0].mask.path).resolve().parent.name
        known = stack.pixel_sizes if pixel_size is None else [parse_pixel_size(pixel_size, "pixel_size")]
        if not all(same_pixel_size(size, known[0]) for size in known):
            raise ValueError(
                f"{stack.planes[0].mask.path}: sections must have one pixel size, but got {known[0]} and others"
            )
        self.pixel_size = known[0] if known else None
        self.thickness = parse_section_thickness(section_thickness)
        self.frame = Frame.of(*stack.shape, guard)
        self.guard = guard
        self.overwrite = overwrite
        self.labels_of = labels_of
        self.volumetric = self.pixel_size is not None and self.thickness is not None

    @property
    def unit(self) -> str:
        """Unit of length in the tables: ``"um"``, or ``"px"`` where no pixel size is known."""
        return "px" if self.pixel_size is None else "um"

    @property
    def spacing(self) -> tuple[float, float]:
        """Height and width of a pixel, in the unit of length."""
        return (1.0, 1.0) if self.pixel_size is None else (self.pixel_size[1] / 1000, self.pixel_size[0] / 1000)

    def settings(self) -> dict[str, Any]:
        """Everything that the results depend on, as JSON holds it."""
        linker = {key: getattr(self.linker, key) for key in ("min_iou", "min_share", "branch_share", "max_gap")}
        names = ("neck", "min_area", "smoothing", "min_agreement", "require_support")
        gathering = {key: getattr(self.gathering, key) for key in names}
        files = list(dict.fromkeys(plane.mask.path for plane in self.stack.planes))
        positions, first = self.stack.positions, ends(self.stack.positions, self.linker.max_gap)[0]
        return {
            **self._files,
            **({} if files == sorted(files, key=natural) else {"order": [Path(file).name for file in files]}),
            "labels_of": None if self.labels_of is None else Path(self.labels_of).name,
            "positions": positions.tolist(),
            **({"labels": "at their positions"} if self._labels_have_gaps else {}),
            **({"begun_anew_at": positions[first][1:].tolist()} if first[1:].any() else {}),
            **({"tissue": "by grey levels"} if self.stack.measures_tissue else {}),
            "pixel_size_nm": self.pixel_size,
            "section_thickness_nm": self.thickness,
            "threshold": self.stack.threshold,
            "label_format": self.stack.label_format,
            "guard": self.guard,
            **gathering,
            **linker,
        }

    @cached_property
    def _labels_have_gaps(self) -> bool:
        """Whether earlier versions, which closed up over missing sections, wrote other labels."""
        if self.labels_of is None or not self.stack.missing:
            return False
        return planes_of(self.labels_of, self.stack) != list(range(len(self.stack)))

    @cached_property
    def _files(self) -> dict[str, dict[str, list[int | str]]]:
        """What changes with the files that are read, as it is at first: what changes later is not what was measured."""
        sections = [plane.section for plane in self.stack.planes if plane.section]
        files = {
            "masks": {plane.mask.path for plane in self.stack.planes},
            "section_files": {section.path for section in sections},
            "valid_files": {section.valid for section in sections if section.valid is not None},
        }
        if not files["valid_files"]:
            del files["valid_files"]
        return {kind: _states(paths) for kind, paths in files.items()}

    def check(self) -> None:
        """Look at what an earlier run left, before anything is written.

        Raises:
            ValueError: the folder holds the masks, or the volume of the labels is of another shape.
            FileExistsError: the folder holds an analysis with other settings or of other masks, or the volume labels
                that this bundle did not write, and `overwrite` is false.
            OSError: the folder cannot be written.
        """
        for plane in self.stack.planes:
            if lies_in(plane.mask.path, self.output_dir):
                raise ValueError(
                    f"{self.output_dir}: output_dir must be another folder than that of the masks, but got that of "
                    f"{Path(plane.mask.path).name}: the next run would take the instances for a mask"
                )
        require_writable(self.output_dir)
        if not self.pixel_size:
            logger.warning(
                "The pixel size is not known: lengths are in pixels. State it by --pixel_size, in nanometres"
            )
        elif self.thickness is None:
            logger.warning("The section thickness is not known: no volumes. State it by --section_thickness, in nm")
        path = self.output_dir / "summary.json"
        if self.finished() and not self.overwrite:
            return
        if path.is_file() and not self.overwrite:
            raise FileExistsError(
                f"{path}: is of an analysis with other settings or of other masks; choose another --output_dir, or "
                "replace it by --overwrite True"
            )
        if self.labels_of is None:
            return
        planes_of(self.labels_of, self.stack)
        if not self.overwrite:
            from scripts.io.own_labels import require_own_labels

            require_own_labels(self.labels_of, "mitochondria")

    def finished(self) -> bool:
        """Tell whether the folder holds the results of this very analysis."""
        path = self.output_dir / "summary.json"
        wanted = json.loads(json.dumps(self.settings()))
        try:
            found = json.loads(path.read_text())["settings"]
        except (OSError, ValueError, KeyError):
            return False
        if "valid_files" not in found:  # of a version that did not look at them
            wanted.pop("valid_files", None)
        return found == wanted

    def run(self) -> None:
        """Find, link, measure, count and write.

        Raises:
            ValueError: a file is damaged.
            OSError: a result cannot be written.
        """
        if self.finished() and not self.overwrite:
            logger.info("%s: holds these results already", self.output_dir)
            return
        (self.output_dir / "summary.json").unlink(missing_ok=True)
        depth = None if not self.volumetric else self.thickness / 1000
        coarse = 1 if depth is None else max(1, round(depth / 2 / max(self.spacing)))
        inner = slice(self.frame.top + 1, self.frame.bottom + 1), slice(self.frame.left + 1, self.frame.right + 1)
        work = self._work()
        found = self.gathering.run(self.stack, self.linker, work, self.spacing, coarse, inner, self.pixel_size)
        table = self._objects(found)
        summary = summarize(self, found, table)
        self._write_tables(found, table)
        count = int(found.objects.max(initial=0))
        shape, size = (len(self.stack), *self.stack.shape), self.pixel_size
        if self.labels_of is None:
            path = self.output_dir / f"{self.name}_instances.tif"
            write_instances(path, self._instances(found, work), shape, count, size, self.thickness)
        else:
            shape = (read_header(self.labels_of).pages, *self.stack.shape)
            labels = at_planes(self._instances(found, work), planes_of(self.labels_of, self.stack), shape)
            write_labels(self.labels_of, labels, shape, size, self.thickness, self.overwrite)
        write_rois(self.output_dir / "rois.zip", self._outlines(found, work))
        write_report(self.output_dir / "report.html", self.stack, found, table, summary, work, self.unit)
        write_json(self.output_dir / "summary.json", summary)
        shutil.rmtree(work)

    def _work(self) -> Path:
        """Folder of what is found in each section, from which a run that was stopped goes on."""
        work, settings = self.output_dir / ".objects", json.loads(json.dumps(self.settings()))
        try:
            same = json.loads((work / "settings.json").read_text()) == settings
        except (OSError, ValueError):
            same = False
        if not same:
            shutil.rmtree(work, ignore_errors=True)
            write_json(work / "settings.json", settings)
        return work

    def _objects(self, found: Gathered) -> NDArray[np.float64]:
        """The rows of mitochondria.csv; NaN is empty."""
        count = int(found.objects.max(initial=0))
        owner, section = found.objects, found.section
        values = {column.name: np.full(count, np.nan) for column in OBJECT_COLUMNS}
        values["object"] = np.arange(1, count + 1)
        pairs = np.unique(owner * (len(self.stack) + 1) + section)
        values["sections"] = np.bincount(pairs // (len(self.stack) + 1), minlength=count + 1)[1:]
        values["profiles"] = np.bincount(owner, minlength=count + 1)[1:]
        first, last = np.full(count + 1, len(self.stack)), np.full(count + 1, -1)
        np.minimum.at(first, owner, section)
        np.maximum.at(last, owner, section)
        values["first_section"], values["last_section"] = (self.stack.positions[v[1:]] for v in (first, last))
        summed = np.bincount(np.searchsorted(pairs, owner * (len(self.stack) + 1) + section), found.table[:, 0])
        values["largest_area"] = np.zeros(count + 1)
        np.maximum.at(values["largest_area"], pairs // (len(self.stack) + 1), summed[: len(pairs)])
        values["largest_area"] = values["largest_area"][1:]
        values["cut_by_border"] = np.bincount(owner, found.table[:, 12], count + 1)[1:] > 0
        begun, ended = ends(self.stack.positions[found.seen], self.linker.max_gap)
        first, last = (np.searchsorted(found.seen, index[1:]) for index in (first, last))
        values["cut_by_ends"] = begun[first] | ended[last]
        weights = np.bincount(owner, found.pixels, count + 1)[1:]
        values["score"] = np.bincount(owner, found.score * found.pixels, count + 1)[1:] / weights
        if self.volumetric:
            values |= self._volumetric(found, count)
        return np.column_stack([values[column.name] for column in OBJECT_COLUMNS]).astype(np.float64)

    def _volumetric(self, found: Gathered, count: int) -> dict[str, NDArray[np.float64]]:
        thickness, positions = self.thickness / 1000, self.stack.positions[found.seen]
        section = np.searchsorted(found.seen, found.section)
        area, perimeter = found.table[:, 0], found.table[:, 1]
        height = heights(positions, thickness, self.linker.max_gap)
        volume = volumes(found.objects, area, height[section])
        surface = surfaces(
            found.objects,
            section,
            positions,
            area,
            perimeter,
            found.shared,
            self.spacing[0] * self.spacing[1],
            thickness,
            self.linker.max_gap,
        )
        size = (thickness, *(side * found.coarse for side in self.spacing))
        owner = found.objects[found.voxels[:, 0] - 1]
        order = np.argsort(owner, kind="stable")
        parts = np.split(found.voxels[order, 1:], np.cumsum(np.bincount(owner, minlength=count + 1))[:-1])[1:]
        skeletons = [skeletonize(part, size) for part in parts]
        lines = {
            name: np.array([getattr(skeleton, name) for skeleton in skeletons], np.float64)
            for name in ("length", "total_length", "branch_points")
        }
        return {
            "volume": volume,
            "surface": surface,
            "sphericity": sphericity(volume, surface),
            "complexity_index": complexity_index(volume, surface),
            **lines,
        }

    def _write_tables(self, found: Gathered, table: NDArray[np.float64]) -> None:
        def rows() -> Iterator[list]:
            for row, index in enumerate(found.section.tolist()):
                plane = self.stack.planes[index]
                place = [int(found.objects[row]), plane.position, Path(plane.mask.path).name, plane.mask.page]
                yield [*place, *found.table[row], found.neighbour[row]]

        write_table(self.output_dir / "profiles.csv", headers(PROFILE_COLUMNS, self.unit), rows())
        write_table(self.output_dir / "mitochondria.csv", headers(OBJECT_COLUMNS, self.unit), table)
        write_text(self.output_dir / "columns.md", columns_markdown(self.unit))

    def _instances(self, found: Gathered, work: Path) -> Iterator[NDArray[np.unsignedinteger]]:
        # as small as can be: a wide section is held more than once
        dtype = np.min_scalar_type(max(256, int(found.objects.max(initial=0))))
        for index in range(len(self.stack)):
            rows = slice(found.offsets[index], found.offsets[index + 1])
            yield renumber(labels_of(work, index), np.concatenate([[0], found.objects[rows]]).astype(dtype))

    def _outlines(self, found: Gathered, work: Path) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        for index in range(len(self.stack)):
            for row, points in enumerate(outlines_of(work, index), start=int(found.offsets[index])):
                yield int(found.objects[row]), index, points


def _states(files: Collection[str]) -> dict[str, list[int | str]]:
    """What changes with the content of each file, by its name; by its path where two have one name."""
    names = Counter(Path(file).name for file in files)
    return {Path(file).name if names[Path(file).name] == 1 else file: content_state(file) for file in sorted(files)}
