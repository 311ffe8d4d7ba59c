"""The folder of sections and labels that MONAI Label serves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException

from bundle.label.serve import APP
from scripts.io import FORMATS, WRITTEN, binarize_label, read_header, read_section, split_suffix

__all__ = ["UNKNOWN", "SectionStore"]

UNKNOWN = 2
"""Of label pixels that nobody looked at: the second segment in 3D Slicer."""


class SectionStore(LocalDatastore):
    """A folder of sections, which takes labels only if they can be trained on."""

    def get_image_uri(self, image_id: str) -> str:
        """Give the file of a section."""
        uri = super().get_image_uri(image_id)
        if not uri:
            raise ImageNotFoundException(f"{self._datastore_path} has no section named {image_id!r}")
        return uri

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Give what is known of a section, with a path for 3D Slicer, where the section lies alone in its folder.

        Slicer, told to open a picture, opens all in its folder whose names differ by a number, as one volume.
        """
        info = super().get_image_info(image_id)
        if info:
            source = Path(info["path"])
            alone = Path(self._datastore_path) / APP / "open" / image_id / source.name
            alone.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                alone.symlink_to(os.path.relpath(source, alone.parent))  # relative, as the folder may be moved
            info["path"] = str(alone)
        return info

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label, if it has the size of its section and the values of a mask, in place of an earlier one."""
        image = self.get_image_uri(image_id)
        suffix = split_suffix(label_filename)[1]
        if suffix not in WRITTEN:
            raise ValueError(f"the label of {image_id} must be a file of {', '.join(WRITTEN)}, but got {suffix}")
        section = read_header(image)
        if section.pages > 1:
            raise ValueError(f"{image}: is a stack of {section.pages} sections; a label needs a file of one section")
        mask = binarize_label(read_section(label_filename), f"the label of {image_id}", ignore_value=UNKNOWN)
        if mask.shape != (section.width, section.height):
            raise ValueError(
                f"the label of {image_id} has {mask.shape[0]}x{mask.shape[1]} pixels, the section "
                f"{section.width}x{section.height}"
            )
        label_id = super().save_label(image_id, label_filename, label_tag, label_info)
        folder = Path(self._datastore.label_path(label_tag))
        kept = folder / f"{label_id}{self._to_id(label_filename)[1]}"
        for file in folder.iterdir():  # of another client, which would come back when this one is removed
            same_id = file.name.lower().endswith(FORMATS) and self._to_id(file.name)[0] == label_id
            if same_id and not file.samefile(kept):
                file.unlink()
        return label_id

    def _list_files(self, path: str, patterns: Sequence[str]) -> dict[str, str]:
        files = [f for f in os.listdir(path) if f.lower().endswith(WRITTEN) and not f.startswith(".")]
        if path == self._datastore.image_path():
            files = [file for file in files if not self._is_result(Path(path) / file)]
        return {file: file for file in files}

    def _is_result(self, file: Path) -> bool:
        """Whether a file that is not known yet is a result of this bundle, and no section."""
        try:
            return self._to_id(file.name)[0] not in self._datastore.objects and read_header(file).result
        except (OSError, ValueError):
            return False  # what is wrong is said where it is asked for

    def _to_id(self, file: str) -> tuple[str, str]:
        stem, suffix = split_suffix(file)
        return stem, Path(file).name[-len(suffix) :]  # as it is written, with capitals
