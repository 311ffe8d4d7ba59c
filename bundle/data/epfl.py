"""The EPFL hippocampus volume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from scripts.data import read_section

from .fetch import describe, require_folders, write_list

__all__ = ["epfl"]

SLICES = 15
STEP = 11  # slices, 55 nm: the distance of serial sections
HOME = "https://www.epfl.ch/labs/cvlab/data/data-em/"


def epfl(source: str, output: str = "data/epfl_hippocampus") -> str:
    """List slices of the EPFL hippocampus volume (Lucchi et al., 2012), every 11th of its training part.

    The volume is not fetched, since its page states no terms: read that page, download `training.tif` and
    `training_groundtruth.tif` and name their folder. Its files stay where they are.

    Args:
        source: folder that holds the two files, or `images/000.png`, `images/011.png` ... and `labels/` likewise.
        output: folder for `datalist.json`, which lists the slices for training, validation and test.

    Returns:
        What was written and how to cite it.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if an argument is not a path, or a file cannot be read.
        FileExistsError: if `output` holds another `datalist.json`.
        OSError: if the list cannot be written.
    """
    require_folders(output=output, source=source)
    folder = Path(source)
    if not (folder / "training.tif").is_file() and not (folder / "images").is_dir():
        raise FileNotFoundError(f"{folder}: holds neither training.tif nor images/; the volume's home is {HOME}")
    items = [_item(folder.resolve(), Path(output).resolve(), STEP * i) for i in range(SLICES)]
    datalist = {
        "name": "epfl_hippocampus",
        "description": (
            "FIB-SEM of the CA1 region of hippocampus, 1024 x 768 pixels of 5 nm, every 11th slice of the training"
            " volume. The official test volume is not used; the last slices of the training volume stand in."
        ),
        "licence": f"not stated; ask at {HOME}",
        "reference": (
            "A. Lucchi, K. Smith, R. Achanta, G. Knott, P. Fua: Supervoxel-based segmentation of mitochondria in EM"
            " image stacks with learned shape features. IEEE TMI 31, 474-486, 2012."
            " https://doi.org/10.1109/TMI.2011.2171705"
        ),
        "modality": {"0": "EM"},
        "labels": {"0": "background", "1": "mitochondrion"},
        "pixel_size_nm": 5,
        "section_thickness_nm": 5 * STEP,
        "training": items[:10],
        "validation": items[10:12],
        "test": items[12:],
    }
    for item in items:  # a list of files that are missing or unlike would stand in the way of the right one
        page = item.get("page")
        pair = [read_section(os.path.normpath(Path(output).resolve() / item[key]), page) for key in ("image", "label")]
        if pair[0].shape != pair[1].shape:
            raise ValueError(f"{item['image']} and {item['label']} differ in size: {pair[0].shape}, {pair[1].shape}")
    return describe(write_list(datalist, Path(output)), datalist)


def _item(folder: Path, output: Path, number: int) -> dict[str, Any]:
    if (folder / "training.tif").is_file():
        image, label, page = folder / "training.tif", folder / "training_groundtruth.tif", {"page": number}
    else:
        image, label, page = folder / f"images/{number:03d}.png", folder / f"labels/{number:03d}.png", {}
    return {"image": os.path.relpath(image, output), "label": os.path.relpath(label, output), **page}
