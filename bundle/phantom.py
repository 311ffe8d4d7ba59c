"""The command ``python -m bundle phantom``: a data set of synthetic sections with known truth."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries
from tqdm import tqdm

from scripts.data.phantom import PhantomTissue, acquire

__all__ = ["phantom"]

SPLITS = ("training", "validation", "test")


def phantom(
    output: str = "data/phantom",
    seed: int = 0,
    size: int = 512,
    sections: tuple[int, int, int] = (12, 4, 4),
    overwrite: bool = False,
) -> str:
    """Make a data set of synthetic serial sections with known mitochondria.

    Each of the three splits is a stack of consecutive sections through a tissue of its own, so that validation and
    test show tissue never seen in training. Pixels are 5 nm, sections 50 nm thick. The folder then holds
    ``images/*.png`` and ``labels/*.png`` (8 bit; 255 is mitochondrion), ``datalist.json`` (the list of sections by
    split) and ``preview.png`` (some sections with the truth outlined). The same arguments always give the same files.

    Args:
        output: folder to make. One that already holds this very data set is left as it is.
        seed: whole number from 0 on; another seed is another tissue.
        size: width and height of a section in pixels, at least 64.
        sections: how many sections for training, validation and test, each at least 1, such as 12,4,4.
        overwrite: replace images, labels, preview and list in an output folder that holds something else.

    Returns:
        One line that says what was made.

    Raises:
        ValueError: if an argument is out of range or of the wrong type.
        FileExistsError: if the output folder holds something else.
    """
    _check(output, seed, size, sections, overwrite)
    folder = Path(output)
    parameters = {"seed": seed, "size": size, "sections": list(sections)}
    if _is_complete(folder, parameters):
        return f"{folder} already holds this phantom"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise FileExistsError(f"{folder} exists and is not this phantom; choose another --output or add --overwrite")

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".phantom-", dir=folder.parent) as temporary:
        made = Path(temporary) / "phantom"
        _make(made, parameters)
        _move_into(folder, made)
    return f"{folder}: {sections[0]} training, {sections[1]} validation and {sections[2]} test sections"


def _check(output: Any, seed: Any, size: Any, sections: Any, overwrite: Any) -> None:
    if not isinstance(output, str | Path) or not str(output):
        raise ValueError(f"output must be the path of a folder, got {output!r}")
    for name, value, least in (("seed", seed, 0), ("size", size, 64)):
        if type(value) is not int or value < least:
            raise ValueError(f"{name} must be a whole number from {least} on, got {value!r}")
    if (
        not isinstance(sections, tuple | list)
        or len(sections) != len(SPLITS)
        or any(type(count) is not int or count < 1 for count in sections)
    ):
        raise ValueError(f"sections must be three whole numbers from 1 on, such as 12,4,4, got {sections!r}")
    if type(overwrite) is not bool:
        raise ValueError(f"overwrite is a switch without value, got {overwrite!r}")


def _is_complete(folder: Path, parameters: dict[str, Any]) -> bool:
    try:
        datalist = json.loads((folder / "datalist.json").read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    if not isinstance(datalist, dict) or datalist.get("phantom") != parameters:
        return False
    return all((folder / item[key]).is_file() for split in SPLITS for item in datalist[split] for key in item)


def _make(folder: Path, parameters: dict[str, Any]) -> None:
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    datalist: dict[str, Any] = {
        "name": "phantom",
        "description": "Synthetic serial sections of nervous tissue with known mitochondria, consecutive in each split",
        "licence": "CC0-1.0",
        "modality": {"0": "EM"},
        "labels": {"0": "background", "1": "mitochondrion"},
        "phantom": parameters,
    }
    seeds = np.random.SeedSequence(parameters["seed"]).spawn(len(SPLITS))
    panels = []
    progress = tqdm(total=sum(parameters["sections"]), desc="phantom", unit="section")
    with progress:
        for split, count, seed in zip(SPLITS, parameters["sections"], seeds, strict=True):
            tissue = PhantomTissue(seed, (parameters["size"],) * 2, count)
            datalist |= {"pixel_size_nm": tissue.pixel_size, "section_thickness_nm": tissue.thickness}
            datalist[split] = []
            for index, acquisition in enumerate(seed.spawn(count)):
                section, label = tissue.section(index)
                image = acquire(section, np.random.default_rng(acquisition))
                item = {key: f"{key}s/{split}_{index:03d}.png" for key in ("image", "label")}
                _save(folder / item["image"], image)
                _save(folder / item["label"], 255 * label)
                datalist[split].append(item)
                if index < 2:
                    panels.append(_outlined(image, label))
                progress.update()
    _save(folder / "preview.png", np.concatenate(panels[:4]))
    (folder / "datalist.json").write_text(json.dumps(datalist, indent=4) + "\n")


def _save(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write (width, height[, 3]) as PNG, which counts rows first."""
    Image.fromarray(np.ascontiguousarray(picture.swapaxes(0, 1))).save(path)


def _outlined(image: NDArray[np.uint8], label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = np.repeat(image[..., None], 3, axis=2)
    picture[find_boundaries(label, mode="outer")] = (255, 64, 0)
    return picture


def _move_into(folder: Path, made: Path) -> None:
    """Move a finished data set to its place, its list last: a folder with a list is complete."""
    folder.mkdir(exist_ok=True)
    (folder / "datalist.json").unlink(missing_ok=True)
    for entry in sorted(made.iterdir(), key=lambda path: path.name == "datalist.json"):
        target = folder / entry.name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        entry.replace(target)
