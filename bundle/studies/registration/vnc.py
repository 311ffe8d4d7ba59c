"""A real stack as it is, and with each section but the reference warped by a known deformation."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bundle.runs import run
from scripts.io import find_sections, read_section, write_section
from scripts.phantom import Deformation
from scripts.registration import Transformation, background_mask, match_patches

from .measures import sampled

__all__ = ["vnc_figures"]

KINDS = ("plain", "warped")


def vnc_figures(folder: Path) -> dict[str, Any]:
    """Measure on the VNC stack.

    Args:
        folder: the data of ``python -m bundle data vnc``.

    Returns:
        Medians in pixels: of the ``displacement``, of what is ``recovered`` of it (and by section), and of the distance
        ``to_original_frames``; and for each kind of stack how well neighbours fit before and after.
    """
    sections = find_sections(folder / "stack1" / "raw")
    middle = len(sections) // 2
    figures: dict[str, Any] = {"sections": len(sections)}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        deformations = {}
        for index, section in enumerate(sections):
            pixels = read_section(section["image"], section["page"])
            deformation = Deformation.random(pixels.shape, np.random.default_rng(index), index != middle, False)
            warped, _ = deformation.apply(pixels.astype(np.float64) / 255, np.zeros(pixels.shape, np.uint8))
            name = f"{index:02d}"
            deformations[name] = deformation
            write_section(root / "plain" / f"{name}.tif", pixels)
            write_section(root / "warped" / f"{name}.tif", np.clip(np.rint(255 * warped), 0, 255).astype(np.uint8))
        for kind in KINDS:
            aligned = root / f"{kind}_aligned"
            run(
                "register",
                run_id="registration",
                dataset_dir=str(root / kind),
                output_dir=str(aligned),
                reference=middle,
                canvas="reference",
            )
            rows = json.loads((aligned / "report.json").read_text())["sections"]
            figures[kind] = {
                "not_registered": sum(row["status"] == "not_registered" for row in rows),
                "before": _fit(root / kind, None),
                "after": _fit(aligned / "images", aligned / "valid"),
            }
        displacements = [np.median(np.linalg.norm(d.displacement, axis=0)) for d in deformations.values()]
        figures["displacement"] = float(np.median(displacements))
        del deformations[f"{middle:02d}"]
        figures.update(_recovered(root, deformations))
    return figures


def _recovered(root: Path, deformations: Mapping[str, Deformation]) -> dict[str, Any]:
    """How far warped sections come to lie from where they come to lie unwarped, and from where they were."""
    recovered, absolute = [], []
    for name, deformation in deformations.items():
        plain, warped = (
            Transformation.load(root / f"{kind}_aligned" / "transformations" / f"{name}.npz") for kind in KINDS
        )
        grid, truth = sampled(deformation)
        here = warped.forward(grid.astype(np.float64))
        inside = ((truth >= 0) & (truth < deformation.fold.shape)).all(axis=1)
        recovered.append(np.linalg.norm(here - plain.forward(truth), axis=1)[inside])
        absolute.append(np.linalg.norm(here - truth, axis=1)[inside])
    return {
        "recovered": float(np.median(np.concatenate(recovered))),
        "recovered_by_section": [float(np.median(values)) for values in recovered],
        "to_original_frames": float(np.median(np.concatenate(absolute))),
    }


def _fit(images: Path, valid: Path | None) -> dict[str, float]:
    """How well the sections of a folder fit those before them: medians over all patches."""
    offsets, correlations = [], []
    before = None
    for section in find_sections(images):
        pixels = read_section(section["image"])
        nothing = background_mask(pixels)
        if valid is not None:
            nothing |= read_section(valid / Path(section["image"]).with_suffix(".png").name) == 0
        if before is not None:
            start = Transformation.affine(pixels.shape, np.eye(2, 3))
            found = match_patches(pixels, nothing, *before, start, 100, 40, 37.0)
            offsets.append(np.linalg.norm(found.targets - found.expected, axis=1))
            correlations.append(found.initial_correlation)
        before = pixels, nothing
    return {
        "offset": float(np.median(np.concatenate(offsets))),
        "correlation": float(np.median(np.concatenate(correlations))),
    }
