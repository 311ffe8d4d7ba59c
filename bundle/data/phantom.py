"""The command ``python -m bundle phantom``: a data set of synthetic sections with known truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bundle.data.folders import (
    SPLITS,
    check_arguments,
    filled,
    holds_data_set,
    outlined,
    require_replaceable,
    save_picture,
)
from scripts.io import write_json
from scripts.phantom import Deformation, PhantomTissue, acquire

__all__ = ["phantom"]

PIXEL_SIZE = 5.0
THICKNESS = 50.0
VERSION = 1  # of what a seed means: raised when the tissue changes, so that older data sets are not taken for new ones


def phantom(
    output: str = "data/phantom",
    seed: int = 0,
    size: int = 768,
    sections: tuple[int, int, int] = (8, 3, 3),
    misalign: bool = False,
    folds: bool = False,
    overwrite: bool = False,
) -> str:
    """Make a data set of synthetic serial sections with known mitochondria.

    Each of the three splits is a stack of consecutive sections through a tissue of its own, so that validation and
    test show tissue never seen in training. Pixels are 5 nm, sections 50 nm thick. The folder then holds
    ``images/*.png`` and ``labels/*.png`` (8 bit; 255 is mitochondrion), ``datalist.json`` (the list of sections by
    split) and ``preview.png`` (some sections with the truth outlined). The same arguments always give the same files.

    With --misalign or --folds, images and labels are deformed as sections are on their way to the microscope, all but
    the first of each split; beside them ``aligned/images`` and ``aligned/labels`` hold the sections as they truly lie,
    and ``deformation/*.npz`` how each was moved: ``displacement``, float32 (2, width, height), is for each pixel of the
    image the offset (x, y) in pixels to its true position in the aligned picture, NaN under the fold; ``fold``, bool
    (width, height), is where the fold hides the tissue.

    Args:
        output: folder to make. One that already holds this very data set is left as it is.
        seed: whole number from 0 on; another seed is another tissue.
        size: width and height of a section in pixels, at least 64.
        sections: how many sections for training, validation and test, each at least 1, such as 8,3,3.
        misalign: turn, shift and bend each section at random.
        folds: let a fold run through every third section, from the second on.
        overwrite: replace images, labels, preview and list in an output folder that holds something else.

    Returns:
        One line that says what was made.

    Raises:
        ValueError: if an argument is out of range or of the wrong type.
        FileExistsError: if the output folder holds something else.
    """
    _check(output, seed, size, sections, misalign=misalign, folds=folds, overwrite=overwrite)
    folder = Path(output)
    parameters = {
        "version": VERSION,
        "seed": seed,
        "size": size,
        "sections": list(sections),
        "misalign": misalign,
        "folds": folds,
    }
    if holds_data_set(folder, "phantom", parameters):
        return f"{folder} already holds this phantom"
    require_replaceable(folder, overwrite, "phantom")

    with filled(folder) as made:
        _make(made, parameters)
    return f"{folder}: {sections[0]} training, {sections[1]} validation and {sections[2]} test sections"


def _check(output: Any, seed: Any, size: Any, sections: Any, **switches: Any) -> None:
    check_arguments(output, {"seed": (seed, 0), "size": (size, 64)}, switches)
    if (
        not isinstance(sections, tuple | list)
        or len(sections) != len(SPLITS)
        or any(type(count) is not int or count < 1 for count in sections)
    ):
        raise ValueError(f"sections must be three whole numbers from 1 on, such as 8,3,3, but got {sections!r}")


def _make(folder: Path, parameters: dict[str, Any]) -> None:
    datalist: dict[str, Any] = {
        "name": "phantom",
        "description": "Synthetic serial sections of nervous tissue with known mitochondria, consecutive in each split",
        "licence": "CC0-1.0",
        "modality": {"0": "EM"},
        "labels": {"0": "background", "1": "mitochondrion"},
        "pixel_size_nm": PIXEL_SIZE,
        "section_thickness_nm": THICKNESS,
        "phantom": parameters,
    }
    seeds = np.random.SeedSequence(parameters["seed"]).spawn(len(SPLITS))
    panels = []
    with tqdm(total=sum(parameters["sections"]), desc="phantom", unit="section") as progress:
        for split, count, seed in zip(SPLITS, parameters["sections"], seeds, strict=True):
            datalist[split] = []
            stack = _stack(seed, parameters["size"], count, parameters["misalign"], parameters["folds"])
            for index, files in enumerate(stack):
                name = f"{split}_{index:03d}"
                for kind, content in files.items():
                    _save(folder / kind / name, content)
                datalist[split].append({"image": f"images/{name}.png", "label": f"labels/{name}.png"})
                if index < 2:
                    panels.append(outlined(files["images"], files["labels"]))
                progress.update()
    _save(folder / "preview", np.concatenate(panels[:4]))
    write_json(folder / "datalist.json", datalist)


def _stack(
    seed: np.random.SeedSequence, size: int, count: int, misalign: bool, folds: bool
) -> Iterator[dict[str, Any]]:
    """What to write for each section of a stack, by folder."""
    pad = size // 5 if misalign or folds else 0  # tissue that a deformation moves into the picture
    tissue = PhantomTissue(seed, (size + 2 * pad,) * 2, count, PIXEL_SIZE, THICKNESS)
    inner = (slice(pad, pad + size),) * 2
    for index, child in enumerate(seed.spawn(count)):
        camera, mover = child.spawn(2)
        section, label = tissue.section(index)
        files: dict[str, Any] = {}
        if misalign or folds:
            files["aligned/images"] = acquire(section[inner], np.random.default_rng(camera))
            files["aligned/labels"] = 255 * label[inner]
            deformation = Deformation.random(
                (size, size), np.random.default_rng(mover), misalign and index > 0, folds and index % 3 == 1
            )
            section, label = deformation.apply(section, label)
            displacement = np.where(deformation.fold, np.float32(np.nan), deformation.displacement)
            files["deformation"] = {"displacement": displacement, "fold": deformation.fold}
        files["images"] = acquire(section, np.random.default_rng(camera))
        files["labels"] = 255 * label
        yield files


def _save(path: Path, content: NDArray[np.uint8] | dict[str, NDArray[Any]]) -> None:
    if isinstance(content, dict):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path.with_suffix(".npz"), **content)
    else:
        save_picture(path.with_suffix(".png"), content)
