"""Whose labels lie in a volume: those of this bundle may be replaced, those of a person not."""

from __future__ import annotations

from pathlib import Path

import zarr

from .formats import MARK
from .ome_zarr import OWN
from .reading import content_state

__all__ = ["require_no_labels_of_others", "require_own_labels"]

NAME = "mitochondria"
"""Of the labels that this bundle writes."""


def require_own_labels(image: str | Path, name: str, or_else: str = "replace them by --overwrite True") -> None:
    """Refuse to replace labels that this bundle did not write.

    Args:
        image: volume that they belong to.
        name: of the labels.
        or_else: what a person may do besides keeping them under another name.

    Raises:
        FileExistsError: there are labels of that name that someone else drew or wrote, or changed since.
    """
    path = Path(image) / "labels" / name
    if path.exists() and (fault := _not_own(path)):
        raise FileExistsError(f"{path}: {fault}; keep them under another name, or {or_else}")


def require_no_labels_of_others(image: str | Path) -> None:
    """Refuse to remove a volume with labels in it that this bundle did not write, or that were changed since.

    Args:
        image: volume, whether it is there or not.

    Raises:
        FileExistsError: it holds such labels.
    """
    folder = Path(image) / "labels"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or path.name.startswith("."):
            continue
        # under another name a person keeps them
        if fault := _not_own(path) if path.name == NAME else f"must be the labels {NAME}, but got others":
            raise FileExistsError(
                f"{path}: {fault}; they would be removed with the volume that they lie in: move them away, or choose "
                "another output"
            )


def _not_own(labels: Path) -> str | None:
    """Why labels are not those that this bundle wrote, as the middle of a sentence, or None if they are."""
    try:
        own = zarr.open_group(labels, mode="r").attrs.get(OWN, {})
    except (OSError, ValueError, KeyError):
        own = {}
    if own.get("software") != MARK:
        return "must be labels that this bundle wrote, but got those of someone else"
    if "pixels" not in own:
        return (
            "must be labels as this bundle wrote them, but got those of a version before 0.10.1, which did not note "
            "what would tell whether they were changed since"
        )
    if own["pixels"] != content_state(labels)[-1]:
        return "must be labels as this bundle wrote them, but they were changed, or copied, since"
    return None
