"""Folders of sections that commands make: pictures, their outlines, and moving what is finished into place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

from scripts.io import read_list

__all__ = [
    "SPLITS",
    "check_arguments",
    "filled",
    "holds_data_set",
    "outlined",
    "require_replaceable",
    "save_picture",
]

SPLITS = ("training", "validation", "test")


def check_arguments(output: Any, whole: Mapping[str, tuple[Any, int]], switches: Mapping[str, Any]) -> None:
    """Refuse arguments of a command that are of the wrong kind.

    Args:
        output: has to be the path of a folder.
        whole: value and least value of what has to be a whole number, by name.
        switches: what has to be true or false, by name.

    Raises:
        ValueError: if one is not.
    """
    if not isinstance(output, str | Path) or not str(output):
        raise ValueError(f"output must be the path of a folder, but got {output!r}")
    for name, (value, least) in whole.items():
        if type(value) is not int or value < least:
            raise ValueError(f"{name} must be a whole number from {least} on, but got {value!r}")
    for name, value in switches.items():
        if type(value) is not bool:
            raise ValueError(f"{name} is a switch without value, but got {value!r}")


def holds_data_set(folder: Path, key: str, parameters: dict[str, Any]) -> bool:
    """Say whether a folder holds a complete data set of these very parameters.

    Args:
        folder: folder with a ``datalist.json``.
        key: under which the list records the parameters that its sections were made with.
        parameters: to compare with.

    Returns:
        Whether the list says so and all of its files exist.
    """
    try:
        datalist = read_list(folder / "datalist.json")
    except (FileNotFoundError, ValueError):
        return False
    if datalist.get(key) != parameters:
        return False
    items = [item for split in SPLITS for item in datalist[split]]  # perhaps with entries of a person, such as weights
    return all((folder / item[kind]).is_file() for item in items for kind in ("image", "label"))


def require_replaceable(folder: Path, overwrite: bool, what: str) -> None:
    """Refuse a folder that holds something else.

    Args:
        folder: where a data set shall be made.
        overwrite: whether what is there may be replaced.
        what: the data set, for the message.

    Raises:
        FileExistsError: if the folder is no folder, or not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise FileExistsError(f"{folder} exists and is not this {what}; choose another --output or add --overwrite")


@contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """Give a folder to make a data set in, which comes to its place when all of it is there.

    Args:
        folder: its place; entries of the same names are replaced, others stay.

    Yields:
        An empty folder on the same file system, for a data set with a ``datalist.json``.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        yield made
        _move_into(folder, made)


def _move_into(folder: Path, made: Path) -> None:
    """Move a finished data set to its place, its list last: a folder with a list is complete."""
    folder.mkdir(exist_ok=True)
    (folder / "datalist.json").unlink(missing_ok=True)
    for entry in sorted(made.iterdir(), key=lambda path: path.name == "datalist.json"):
        target = folder / entry.name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        entry.replace(target)


def save_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture as PNG, in a folder that is made if need be.

    Args:
        path: of the file.
        picture: uint8 (width, height) or (width, height, 3).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # PNG counts rows first
    Image.fromarray(np.ascontiguousarray(picture.swapaxes(0, 1))).save(path)


def outlined(image: NDArray[np.uint8], label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Outline the truth in a section.

    Args:
        image: uint8 (width, height).
        label: uint8 of the same shape, not 0 in mitochondria.

    Returns:
        uint8 (width, height, 3) with an orange line around each mitochondrion.
    """
    picture = np.repeat(image[..., None], 3, axis=2)
    picture[find_boundaries(label, mode="outer")] = (255, 64, 0)
    return picture
