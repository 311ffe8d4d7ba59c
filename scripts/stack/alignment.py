"""Alignment of whole stacks."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.io import Section, content_state
from scripts.registration import INTERPOLATIONS, PairRegistration, remove_drift

from .canvas import CANVASES, FILLS, place_on_canvas
from .chain import Chain, interpolate_missing
from .images import SectionImages
from .names import section_names
from .report import Status, write_report
from .results import ResultWriter
from .store import FORMATS, Store

__all__ = ["StackAlignment"]

logger = logging.getLogger(__name__)


class StackAlignment:
    """Aligns the sections of a stack one by one, from a reference on in both directions.

    Each section is registered with the nearest sections that are aligned already, and its transformation leads from its
    own pixels to those of the aligned stack at once: whatever the length of the chain, a pixel is interpolated once. A
    section that cannot be registered is placed by its neighbours' transformation (the affine part), and marked in the
    report.

    In the output folder appear ``images`` (one TIFF per section), ``sections.json`` (the list of them, in the order of
    the stack, which their names may not show), ``valid`` (255 where a pixel has a source),
    ``transformations`` (see `Transformation.load`), ``qc`` (a panel per section, see `qc_panel`), ``report.csv`` and
    ``report.json``; and ``chain``, from which a run that was stopped goes on.

    Args:
        sections: items of `find_sections`, in the order of the stack.
        output_dir: folder of the results.
        registration: registers one section.
        registration_size: most pixels of the longer side at which sections are registered, at least 64; they are
            reduced by a whole factor.
        neighbours: aligned sections with which a section is registered, at least 1.
        drift_window: sections over which the chain may bend, at least 2; see `remove_drift`.
        reference: number of the section, from 0, whose frame is that of the stack; None takes the nearest to the middle
            that shows tissue and fits a section close to it.
        fold_masks_dir: folder with a mask (0 tissue, 255 fold) of each section that has folds, named as the section; in
            sections without a mask folds are looked for.
        canvas: ``"union"`` makes the aligned stack so large that nothing is cut off, ``"reference"`` as large as the
            reference.
        interpolation: of the sections, ``"cubic"`` or ``"lanczos"``.
        fill: of pixels without source: ``"black"``, or ``"noise"``, sampled from the grey levels of the section, so
            that its histogram stays as it is and equalisation does to it what it did before.
        overwrite: whether to replace what an earlier run left.
        num_workers: sections that are registered, and warped, at once; 0 is one after the other, as 1. The result is
            the same for any number.
        output_format: ``"tif"``, or ``"zarr"`` for ``images.zarr`` and ``valid.zarr`` in place of the folders of those
            names: OME-Zarr volumes.

    Raises:
        ValueError: an argument is out of range, or two sections would be written to the same file.
        FileNotFoundError: `fold_masks_dir` does not exist.
    """

    def __init__(
        self,
        sections: Sequence[Section],
        output_dir: str | Path,
        registration: PairRegistration,
        registration_size: int = 1536,
        neighbours: int = 2,
        drift_window: int = 50,
        reference: int | None = None,
        fold_masks_dir: str | Path | None = None,
        canvas: str = "union",
        interpolation: str = "cubic",
        fill: str = "black",
        overwrite: bool = False,
        num_workers: int = 1,
        output_format: str = FORMATS[0],
    ) -> None:
        if not sections:
            raise ValueError(f"{output_dir}: there must be sections to align, but got none")
        for name, value, least in (
            ("registration_size", registration_size, 64),
            ("neighbours", neighbours, 1),
            ("drift_window", drift_window, 2),
            ("num_workers", num_workers, 0),
        ):
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be a whole number from {least} on, but got {value!r}")
        choices = {
            "canvas": CANVASES,
            "interpolation": [i for i in INTERPOLATIONS if i != "nearest"],
            "fill": FILLS,
            "output_format": FORMATS,
        }
        given = {"canvas": canvas, "interpolation": interpolation, "fill": fill, "output_format": output_format}
        for name, value in given.items():
            if value not in choices[name]:
                raise ValueError(f"{name} must be one of {', '.join(choices[name])}, but got {value!r}")
        if reference is not None and (type(reference) is not int or not 0 <= reference < len(sections)):
            raise ValueError(f"reference must be a section from 0 to {len(sections) - 1}, but got {reference!r}")
        self.sections = list(sections)
        self.registration = registration
        self.registration_size = registration_size
        self.neighbours = neighbours
        self.drift_window = drift_window
        self.reference = reference
        self.canvas = canvas
        self.interpolation = interpolation
        self.fill = fill
        self.overwrite = overwrite
        self.num_workers = max(1, num_workers)
        self._names = section_names(self.sections)
        self._store = Store(output_dir, output_format)
        self._images = SectionImages(
            self.sections, self._names, registration_size, registration.min_size, fold_masks_dir
        )

    def settings(self) -> dict[str, Any]:
        """What decides on the results, by the names of `configs/register.json`, whatever the attributes are called."""
        states = {path: content_state(path)[-1] for path in self._files()}
        masks = [section.valid for section in self.sections]
        states |= {mask: content_state(mask)[-1] for mask in {*masks} - {None}}
        return {
            "sections": [[s.path, s.page, s.channel, states[s.path]] for s in self.sections],
            "fold_masks": [mask and [mask, content_state(mask)[-1]] for mask in self._images.fold_masks],
            "registration": self.registration.settings(),
            "registration_size": self.registration_size,
            "neighbours": self.neighbours,
            "drift_window": self.drift_window,
            "reference": self.reference,
            "canvas": self.canvas,
            "interpolation": self.interpolation,
            "fill": self.fill,
            # by no name where there are none: runs of before masks were heeded go on
            **({"valid_masks": [mask and [mask, states[mask]] for mask in masks]} if any(masks) else {}),
            **({} if self._store.output_format == FORMATS[0] else {"output_format": self._store.output_format}),
        }

    def check(self) -> None:
        """Look at what an earlier run left, before anything is written.

        Raises:
            ValueError: the output folder holds the sections, a fold mask cannot be read as one, the reference by which
                results are to be replaced shows too little, or sections of several pixel types would have to go into
                one volume.
            FileExistsError: it holds an alignment of other sections, or with other settings, and `overwrite` is false.
        """
        self._images.check_fold_masks()
        other = next((s for s in self.sections if s.dtype != self.sections[0].dtype), None)
        if other is not None and self._store.output_format == "zarr":
            raise ValueError(
                f"{other.path}: must have pixels of {self.sections[0].dtype} as the others to be written into one "
                f"volume, but got {other.dtype}; leave --output_format out"
            )
        if self.overwrite and self._store.folder.exists():  # before anything is removed
            with tempfile.TemporaryDirectory() as scratch:
                self._chain(Store(scratch)).reference_link(self.reference)
        self._store.prepare(self._files(), self._names, self.settings(), self.overwrite)

    def run(self) -> None:
        """Register and warp all sections that are not done yet, and write the report.

        Raises:
            ValueError: no section can be the reference, or none fits it.
        """
        links, reference = self._chain(self._store).run(self.reference)
        transformations = interpolate_missing(links, self._names)
        transformations = remove_drift(transformations, self.drift_window, reference)
        sizes, scale = self._images.sizes, self._images.scale
        transformations = [t.rescaled(scale, size) for t, size in zip(transformations, sizes, strict=True)]
        transformations, size = place_on_canvas(transformations, sizes[reference], self.canvas)
        writer = ResultWriter(
            self._images,
            self.sections,
            self._names,
            self._store,
            size,
            self.sections[reference].pixel_size_nm,
            self.interpolation,
            self.fill,
        )
        rows = []
        self._store.save_order(self._names)  # before the sections, so that none is there without it
        shares = writer.write_all(transformations, self.num_workers)
        for index, link in enumerate(links):
            link.report.uncovered_fraction = shares[index]
            section = self.sections[index]
            row = {"section": self._names[index], "image": section.path, "page": section.page}
            rows.append({**row, **link.report.row(scale)})
        write_report(self._store.folder, rows, self._names[reference], size, scale)
        failed = [row["section"] for row in rows if row["status"] == Status.NOT_REGISTERED]
        if failed:
            logger.warning(
                "%d of %d sections were not registered: %s; report.csv says why",
                len(failed),
                len(rows),
                ", ".join(failed),
            )

    def _chain(self, store: Store) -> Chain:
        return Chain(
            self._images,
            self._names,
            list(map(str, self.sections)),
            self.registration,
            self.neighbours,
            store,
            self.num_workers,
        )

    def _files(self) -> list[str]:
        return list(dict.fromkeys(section.path for section in self.sections))
