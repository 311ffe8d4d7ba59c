"""A misaligned and folded phantom stack, segmented directly, and aligned first with its masks warped back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bundle.data.phantom import phantom
from bundle.runs import run
from scripts.io import binarize_label, find_sections, read_section
from scripts.registration import Transformation
from scripts.stack import warp_files

from .measures import mask_jaccard

__all__ = ["segmentation_rows"]


def segmentation_rows() -> list[dict[str, Any]]:
    """Segment the stack both ways.

    Returns:
        One row for each section: Jaccard indices of the masks with each other and with the truth.
    """
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        phantom(output=str(root / "stack"), seed=5, size=1024, sections=(1, 1, 6), misalign=True, folds=True)
        images = str(root / "stack" / "images" / "test_*.png")
        run("register", run_id="registration", dataset_dir=images, output_dir=str(root / "aligned"), reference=0)
        segment = {"direct": images, "aligned": str(root / "aligned" / "images")}
        for name, source in segment.items():
            run("inference", run_id="inference", dataset_dir=source, output_dir=str(root / name / "masks"))
        warp_files(root / "aligned" / "masks", root / "aligned" / "transformations", root / "warped")
        return [_row(root, Path(section["image"]).stem) for section in find_sections(images)]


def _row(root: Path, name: str) -> dict[str, Any]:
    direct = read_section(root / "direct" / "masks" / f"{name}_mitochondria.png") > 0
    warped = read_section(root / "warped" / f"{name}_mitochondria.tif") > 0
    truth = binarize_label(read_section(root / "stack" / "labels" / f"{name}.png")) > 0
    hidden = np.load(root / "stack" / "deformation" / f"{name}.npz")["fold"]
    transformation = Transformation.load(root / "aligned" / "transformations" / f"{name}.npz")
    if transformation.fold is not None:
        hidden = hidden | transformation.fold
    direct, warped, truth = (mask & ~hidden for mask in (direct, warped, truth))
    return {
        "section": name,
        "direct_and_warped": mask_jaccard(direct, warped),
        "direct_and_truth": mask_jaccard(direct, truth),
        "warped_and_truth": mask_jaccard(warped, truth),
    }
