"""The output folder of an alignment: what belongs to it, and how a run that was stopped goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.io import (
    ALIGNED,
    ALIGNED_LIST,
    ALIGNED_SETTINGS,
    Header,
    Section,
    lies_in,
    read_header,
    require_writable,
    write_atomically,
    write_json,
)
from scripts.io.records import differences
from scripts.registration import Transformation

from .names import section_names
from .report import REPORTS, SectionReport

__all__ = ["FORMATS", "RESULTS", "VOLUMES", "Store", "plane_names"]

RESULTS = {"images": ".tif", "valid": ".png", "transformations": ".npz", "qc": ".png"}
"""What is written for each section: folders, and the suffix of the files in them."""
VOLUMES = {"images": "images.zarr", "valid": "valid.zarr"}
"""Those that can be one OME-Zarr volume instead."""
FORMATS = ("tif", "zarr")
"""Of aligned sections."""
PLANES = "planes"
"""In the list of aligned sections: names of those in each volume, in its order."""
LINKS = "chain/links"
"""Folder of what the chain found for each section so far."""


class Store:
    """Files of an alignment.

    Args:
        folder: of the output.
        output_format: of aligned sections, one of `FORMATS`.
    """

    def __init__(self, folder: str | Path, output_format: str = FORMATS[0]) -> None:
        self.folder = Path(folder)
        self.output_format = output_format

    def prepare(
        self, images: Collection[str], names: Sequence[str], settings: Mapping[str, Any], overwrite: bool
    ) -> None:
        """Look at what an earlier run left, before anything is written.

        Args:
            images: files of the sections.
            names: of the sections.
            settings: what decides on the results; those of the earlier run must be equal.
            overwrite: whether to remove what it left; nothing else is removed.

        Raises:
            ValueError: the folder holds a section.
            FileExistsError: it holds another alignment, and `overwrite` is false; or files of something else, such as a
                list of sections that someone wrote.
            OSError: it cannot be written.
        """
        for image in images:
            if lies_in(image, self.folder, below=True):
                raise ValueError(f"{self.folder}: the output folder holds the section {image}; choose another one")
        require_writable(self.folder)
        path = self.folder / ALIGNED_SETTINGS
        wanted = json.loads(json.dumps(settings, default=str))
        found = _read_settings(path)
        if found is not None and found != wanted and not overwrite:
            differing = ["#".join(keys) for keys in sorted(differences(found, wanted))]
            raise FileExistsError(
                f"{self.folder} holds another alignment; what differs: {', '.join(differing)}. Choose "
                "another --output_dir, or replace it by --overwrite True"
            )
        order = self.folder / ALIGNED_LIST
        if order.exists() and ALIGNED not in (_read_settings(order) or ()):
            raise FileExistsError(
                f"{order}: must be the list of aligned sections, but is another file; call it otherwise, or choose "
                "another --output_dir"
            )
        # settings that are damaged tell no names: those of now stand for them
        own = set() if found is None else self._written(_names(found) or names, found.get("output_format", FORMATS[0]))
        present = [file for file in self._written(names, self.output_format) if os.path.lexists(file)]
        if found is None:
            present += [
                file
                for folder, suffix in {**RESULTS, LINKS: ".*"}.items()
                for file in (self.folder / folder).glob(f"*{suffix}")
                if file.is_file()
            ]
        foreign = sorted({*present} - own)
        if foreign:
            raise FileExistsError(f"{foreign[0]}: is not of an alignment; choose another --output_dir")
        if overwrite:
            for file in own:
                if file.is_dir() and not file.is_symlink():
                    shutil.rmtree(file)
                else:
                    file.unlink(missing_ok=True)
        write_json(path, wanted)

    def _written(self, names: Collection[str], output_format: str) -> set[Path]:
        """All that a run writes, but for its settings.

        Args:
            names: of its sections.
            output_format: of its aligned sections.
        """
        store = Store(self.folder, output_format)
        files = {file for name in names for file in store.results(name).values()}
        files |= {self.folder / LINKS / f"{name}{suffix}" for name in names for suffix in (".npz", ".json")}
        files |= {self.folder / name for name in (ALIGNED_LIST, *REPORTS)}
        return files if output_format == FORMATS[0] else files | {*store.volumes().values()}

    def results(self, name: str) -> dict[str, Path]:
        """Files of the results of a section, by folder; those that are planes of a volume have none."""
        own = [folder for folder in RESULTS if self.output_format == "tif" or folder not in VOLUMES]
        return {folder: self.folder / folder / f"{name}{RESULTS[folder]}" for folder in own}

    def volumes(self) -> dict[str, Path]:
        """Where volumes are, if results are written so."""
        return {key: self.folder / name for key, name in VOLUMES.items()}

    def save_order(self, names: Sequence[str]) -> None:
        """List the aligned sections as `scripts.io.find_sections` reads them.

        Args:
            names: of the sections, in the order of the stack.
        """
        if self.output_format == FORMATS[0]:
            content = {ALIGNED: [f"images/{name}{RESULTS['images']}" for name in names]}
        else:
            content = {ALIGNED: [VOLUMES["images"]], PLANES: {VOLUMES["images"]: list(names)}}
        write_json(self.folder / ALIGNED_LIST, content)

    def save_link(self, name: str, transformation: Transformation, report: SectionReport) -> None:
        """Keep what the chain found for a section."""
        write_atomically(self.folder / LINKS / f"{name}.npz", lambda path: transformation.save(path, exact=True))
        # written last: it says that both are there
        write_json(self.folder / LINKS / f"{name}.json", report.to_json())

    def load_report(self, name: str) -> SectionReport | None:
        """What the chain found for a section, if an earlier run got so far.

        Raises:
            ValueError: it is damaged.
        """
        path = self.folder / LINKS / f"{name}.json"
        if not path.exists():
            return None
        try:
            return SectionReport.from_json(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{path}: must be what the registration found for a section, but is damaged; remove it, and the "
                "section is registered again"
            ) from None

    def load_transformation(self, name: str) -> Transformation:
        """The transformation that belongs to `load_report`."""
        return Transformation.load(self.folder / LINKS / f"{name}.npz")


def plane_names(transformations_dir: Path) -> list[str]:
    """Names of the planes of the volume in which the sections of these transformations are, in its order.

    Args:
        transformations_dir: of the output of an alignment.

    Returns:
        The names; none where the aligned sections are files of their own.
    """
    content = _read_settings(transformations_dir.parent / ALIGNED_LIST)
    return content.get(PLANES, {}).get(VOLUMES["images"], []) if isinstance(content, dict) else []


def _read_settings(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError:
        return {}  # damaged: as those of another alignment


def _names(settings: Mapping[str, Any]) -> list[str]:
    """Names of the sections of an earlier run."""
    sections = settings.get("sections", ())
    headers = {
        # of files that are gone, all sections were taken
        path: read_header(path) if os.path.exists(path) else Header(path, 0, 0, count)
        for path, count in Counter(path for path, *_ in sections).items()
    }
    return section_names([Section(headers[path], page) for path, page, *_ in sections])
