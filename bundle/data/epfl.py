"""The EPFL hippocampus volume."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path
from typing import Any

from scripts.io import LABEL_FORMATS, read_section

from .fetch import describe, require_folders, write_list

__all__ = ["LICENCE", "epfl"]

STEP = 11  # slices, 55 nm: the distance of serial sections
# blocks of slices, with as much between them
PARTS = {"training": range(100), "validation": range(110, 122), "test": range(132, 165)}
HOME = "https://www.epfl.ch/labs/cvlab/data/data-em/"
LICENCE = f"not stated; ask at {HOME}"


def epfl(source: str, output: str = "data/epfl_hippocampus", dense: bool = False, label_format: str = "mask") -> str:
    """List slices of the EPFL hippocampus volume (Lucchi et al., 2012), every 11th of its training part.

    The volume is not fetched, since its page states no terms: read that page, download `training.tif` and
    `training_groundtruth.tif` and name their folder. Its files stay where they are.

    Args:
        source: folder that holds the two files, or `images/000.png`, `images/011.png` ... and `labels/` likewise.
        output: folder for `datalist.json`, which lists the slices for training, validation and test.
        dense: whether to list every 11th slice from 004 and from 008 on, too, some 20 nm apart. The parts stay 11
            slices apart.
        label_format: "mask", or "instances" for `instances/000.png` ... of the source, where mitochondria are numbered.

    Returns:
        What was written and how to cite it.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if an argument is none of these, or a file cannot be read.
        FileExistsError: if `output` holds another `datalist.json`.
        OSError: if the list cannot be written.
    """
    require_folders(output=output, source=source)
    if not isinstance(dense, bool):
        raise ValueError(f"dense must be True or False, but got {dense!r}")
    if label_format not in LABEL_FORMATS:
        raise ValueError(f"label_format must be one of {', '.join(LABEL_FORMATS)}, but got {label_format!r}")
    folder = Path(source)
    if not (folder / "training.tif").is_file() and not (folder / "images").is_dir():
        raise FileNotFoundError(f"{folder}: holds neither training.tif nor images/; the volume's home is {HOME}")
    starts = (0, 4, 8) if dense else (0,)
    items = {
        part: [
            _item(folder.resolve(), Path(output).resolve(), number, label_format)
            for number in block
            if number % STEP in starts
        ]
        for part, block in PARTS.items()
    }
    datalist = {
        "name": "epfl_hippocampus",
        "description": (
            "FIB-SEM of the CA1 region of hippocampus, 1024 x 768 pixels of 5 nm, every 11th slice of the training"
            f" volume{', from 000, 004 and 008 on' if dense else ''}. The official test volume is not used;"
            " the last slices of the training volume stand in."
        ),
        "licence": LICENCE,
        "reference": (
            "A. Lucchi, K. Smith, R. Achanta, G. Knott, P. Fua: Supervoxel-based segmentation of mitochondria in EM"
            " image stacks with learned shape features. IEEE TMI 31, 474-486, 2012."
            " https://doi.org/10.1109/TMI.2011.2171705"
        ),
        "modality": {"0": "EM"},
        "labels": {"0": "background", "1": "mitochondrion"},
        "label_format": label_format,
        "pixel_size_nm": 5,
        "section_thickness_nm": [15, 20] if dense else 5 * STEP,
        **items,
    }
    for item in chain.from_iterable(items.values()):
        # a list of files that are missing or unlike would stand in the way of the right one
        page = item.get("page")
        pair = [read_section(os.path.normpath(Path(output).resolve() / item[key]), page) for key in ("image", "label")]
        if pair[0].shape != pair[1].shape:
            raise ValueError(f"{item['image']} and {item['label']} differ in size: {pair[0].shape}, {pair[1].shape}")
    return describe(write_list(datalist, Path(output)), datalist)


def _item(folder: Path, output: Path, number: int, label_format: str) -> dict[str, Any]:
    if (folder / "training.tif").is_file():
        if label_format != "mask":
            raise ValueError(f"{folder}: training_groundtruth.tif is a mask, not numbered instances")
        image, label, page = folder / "training.tif", folder / "training_groundtruth.tif", {"page": number}
    else:
        labels = "labels" if label_format == "mask" else "instances"
        image, label, page = folder / f"images/{number:03d}.png", folder / f"{labels}/{number:03d}.png", {}
    return {"image": os.path.relpath(image, output), "label": os.path.relpath(label, output), **page}
