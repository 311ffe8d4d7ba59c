"""The pixels that a run reads: which of them changed since they were segmented."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from functools import cached_property
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from scripts.io import content_state, file_state, write_json
from scripts.io.ome_zarr import OMEZarrReader, pixel_files

from .job import Job

__all__ = ["Source", "section_states"]

NOTE = ".source.json"
"""File in the output that holds the states of the sections."""


class Source:
    """The volume that a job segments.

    Sections of which nothing is segmented may change while a run is stopped, since they may have been damaged, and
    mended; others may not.

    Args:
        job: the segmentation.
        depth: sections of a block.
        valid: path of the mask of where the sections are valid, or None.
    """

    def __init__(self, job: Job, depth: int, valid: str | None = None) -> None:
        self.job = job
        self.depth = depth
        self.valid = valid

    def identity(self) -> dict[str, list[int | str]]:
        """What is known of the volume without its pixels, and of its valid mask, as JSON holds it."""
        known = {"volume": list(file_state(self.job.volume)[2:])}
        return known if self.valid is None else {**known, "valid": self._valid_state}

    @cached_property
    def _valid_state(self) -> list[int | str]:
        """As it is at first; it looks at every chunk."""
        return content_state(self.valid)

    def changed(self) -> list[int]:
        """Tell of which sections a part is segmented, and the pixels have changed since."""
        done = self._done()
        return [page for page in self._differing() if done[page]]

    def require_unchanged(self) -> None:
        """Refuse to go on with masks of other pixels.

        Raises:
            FileExistsError: see `changed`.
        """
        changed = self.changed()
        if changed:
            raise FileExistsError(
                f"{self.job.output}: must be of the pixels of {self.job.volume}, but section {changed[0]}"
                f"{' and others have' if len(changed) > 1 else ' has'} changed since; choose another --output_dir, or "
                "replace it by --overwrite True"
            )

    def keep(self) -> None:
        """Note what is going to be segmented, and forget what was measured on sections that have changed.

        Raises:
            OSError: it cannot be written.
        """
        for page in self._differing():
            shutil.rmtree(self.job.measured / f"{page:06d}.zarr", ignore_errors=True)
        write_json(Path(self.job.output) / NOTE, self._states)

    @cached_property
    def _states(self) -> list[str]:
        """As they are at first: what changes later, the next run finds."""
        return section_states(self.job.volume)

    def _differing(self) -> list[int]:
        try:
            before = json.loads((Path(self.job.output) / NOTE).read_text())
        except (OSError, ValueError):
            return []  # nothing is known of the run before
        return [page for page, (old, new) in enumerate(zip(before, self._states, strict=True)) if old != new]

    def _done(self) -> NDArray[np.bool_]:
        """Whether a block of each section is done, bool (sections,)."""
        marks = Path(self.job.output) / ".blocks"
        if not marks.exists():
            return np.zeros(len(self._states), bool)
        blocks = zarr.open_group(marks, mode="r")["done"][:].any(axis=(1, 2))
        return blocks.repeat(self.depth)[: len(self._states)]


def section_states(volume: str) -> list[str]:
    """Give what changes with the pixels of each section of a volume.

    Args:
        volume: an OME-Zarr image.

    Returns:
        A digest of the names, sizes and times of the files of each section.
    """
    reader = OMEZarrReader(volume)
    digests = [hashlib.blake2b(digest_size=8) for _ in range(reader.header.pages)]
    for file in pixel_files(volume):
        state = os.stat(file)
        text = f"{os.path.relpath(file, volume)} {state.st_size} {state.st_mtime_ns}\n".encode()
        for page in reader.pages_in(file):
            digests[page].update(text)
    return [digest.hexdigest() for digest in digests]
