"""The command ``python -m bundle synthetic``: a data set of single sections of many kinds of synthetic tissue."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
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
from scripts.synthetic import KINDS, synthetic_section

__all__ = ["synthetic"]

VERSION = 6  # of what a seed means: raised when the tissue changes, so that older data sets are not taken for new ones
SHEET = 100  # sections of the preview
PANEL = 192  # width of each of them in pixels, at most


def synthetic(
    output: str = "data/synthetic",
    sections: int = 1000,
    size: int = 512,
    pixel_size: float = 10.0,
    seed: int = 0,
    validation: float = 0.05,
    test: float = 0.05,
    workers: int = 0,
    overwrite: bool = False,
) -> str:
    """Make a data set of synthetic sections of many kinds of tissue with known mitochondria, to train with.

    Each section is a tissue of its own and draws its own parameters: brain, muscle, liver, cultured cells, platelets,
    nerve, or a mixture that no animal has; stain, cells, organelles and microscope. Sections do not continue one
    another. The folder then holds ``images/*.png`` and ``labels/*.png`` (8 bit; 255 is mitochondrion),
    ``datalist.json`` (the list of sections by split, and how many there are of each kind of tissue) and
    ``preview.png`` (up to a hundred sections with the truth outlined). The same arguments always give the same files.

    Args:
        output: folder to make. One that already holds this very data set is left as it is.
        sections: how many, at least 3.
        size: width and height of a section in pixels, at least 64.
        pixel_size: nanometres per pixel, 4 to 20.
        seed: whole number from 0 on; another seed is other tissue.
        validation: share of the sections for validation, above 0; at least one section.
        test: share of the sections for test, above 0; at least one section.
        workers: processes that draw; 0 takes one for each core.
        overwrite: replace images, labels, preview and list in an output folder that holds something else.

    Returns:
        One line that says what was made.

    Raises:
        ValueError: if an argument is out of range or of the wrong type.
        FileExistsError: if the output folder holds something else.
    """
    _check(output, sections, size, pixel_size, seed, validation, test, workers, overwrite)
    folder = Path(output)
    parameters = {
        "version": VERSION,
        "sections": sections,
        "size": size,
        "pixel_size": float(pixel_size),
        "seed": seed,
        "validation": float(validation),
        "test": float(test),
    }
    if holds_data_set(folder, "synthetic", parameters):
        return f"{folder} already holds this synthetic tissue"
    require_replaceable(folder, overwrite, "synthetic tissue")

    with filled(folder) as made:
        counts = _make(made, parameters, workers or os.cpu_count() or 1)
    return f"{folder}: {counts[0]} training, {counts[1]} validation and {counts[2]} test sections"


def _check(
    output: Any,
    sections: Any,
    size: Any,
    pixel_size: Any,
    seed: Any,
    validation: Any,
    test: Any,
    workers: Any,
    overwrite: Any,
) -> None:
    whole = {"sections": (sections, 3), "size": (size, 64), "seed": (seed, 0), "workers": (workers, 0)}
    check_arguments(output, whole, {"overwrite": overwrite})
    if type(pixel_size) not in (int, float) or not 4 <= pixel_size <= 20:
        raise ValueError(f"pixel_size must lie in 4 .. 20 nm, but got {pixel_size!r}")
    for name, value in (("validation", validation), ("test", test)):
        if type(value) is not float or not 0 < value < 1:
            raise ValueError(f"{name} must be a share between 0 and 1, but got {value!r}")
    if sum(_parts(sections, validation, test)[1:]) >= sections:
        raise ValueError(f"validation {validation} and test {test} leave no section for training")


def _parts(sections: int, validation: float, test: float) -> tuple[int, int, int]:
    held_out = [max(1, round(share * sections)) for share in (validation, test)]
    return sections - sum(held_out), *held_out


def _make(folder: Path, parameters: dict[str, Any], workers: int) -> tuple[int, int, int]:
    sections, size, pixel_size = (parameters[key] for key in ("sections", "size", "pixel_size"))
    counts = _parts(sections, parameters["validation"], parameters["test"])
    datalist: dict[str, Any] = {
        "name": "synthetic",
        "description": "Single synthetic sections of many kinds of tissue with known mitochondria",
        "licence": "CC0-1.0",
        "modality": {"0": "EM"},
        "labels": {"0": "background", "1": "mitochondrion"},
        "pixel_size_nm": pixel_size,
        "synthetic": parameters,
    }
    names = [f"{split}_{index:05d}" for split, count in zip(SPLITS, counts, strict=True) for index in range(count)]
    draw = partial(_draw, folder, seed=parameters["seed"], size=size, pixel_size=pixel_size)
    panels = []
    kinds = {}
    with _mapping(workers) as mapping:
        for name, kind, panel in tqdm(
            mapping(draw, list(enumerate(names))), total=sections, desc="synthetic", unit="section"
        ):
            kinds[name] = kind
            if panel is not None:
                panels.append(panel)
    for split in SPLITS:
        datalist[split] = [
            {"image": f"images/{name}.png", "label": f"labels/{name}.png"} for name in names if name.startswith(split)
        ]
    datalist["tissue"] = {kind: sum(value == kind for value in kinds.values()) for kind in KINDS}
    save_picture(folder / "preview.png", _sheet(panels))
    write_json(folder / "datalist.json", datalist)
    return counts


@contextmanager
def _mapping(workers: int) -> Iterator[Any]:
    """A `map` over that many processes, in order; one works here."""
    if workers == 1:
        yield map
        return
    # forked processes would inherit the threads of OpenCV and PyTorch in an unknown state
    with multiprocessing.get_context("spawn").Pool(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield partial(pool.imap, chunksize=4)


def _draw(
    folder: Path, numbered: tuple[int, str], seed: int, size: int, pixel_size: float
) -> tuple[str, str, NDArray[np.uint8] | None]:
    """Draw and write one section: its name, its kind of tissue and its panel of the preview."""
    number, name = numbered
    image, label, found = synthetic_section(np.random.SeedSequence([seed, number]), (size, size), pixel_size)
    save_picture(folder / "images" / f"{name}.png", image)
    save_picture(folder / "labels" / f"{name}.png", 255 * label)
    if number >= SHEET:
        return name, found["kind"], None
    if size > PANEL:  # outlined after: the line shall be one pixel wide in the preview
        image = cv2.resize(image, (PANEL, PANEL), interpolation=cv2.INTER_AREA)
        label = cv2.resize(label, (PANEL, PANEL), interpolation=cv2.INTER_NEAREST)
    return name, found["kind"], outlined(image, label)


def _sheet(panels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Panels side by side, in rows of ten."""
    columns = min(10, len(panels))
    panels = panels + [np.zeros_like(panels[0])] * (-len(panels) % columns)
    rows = [np.concatenate(panels[start : start + columns]) for start in range(0, len(panels), columns)]
    return np.concatenate(rows, axis=1)
