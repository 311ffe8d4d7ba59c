"""Stacks of small sections, and their alignment."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from scripts.io import find_sections, write_section
from scripts.registration import FoldDetector, MovingLeastSquares, PairRegistration, SIFTFeatures, Transformation
from scripts.stack import StackAlignment
from scripts.stack.store import RESULTS

COUNT = 5
FOLDED = 4
"""This section of the stack of five has a fold."""


def registration(detect_folds: bool = False, **settings: object) -> PairRegistration:
    """What registers small sections fast."""
    settings = {"patch_size": 40, "patch_step": 16, "search_radii": (16, 8), **settings}
    folds = FoldDetector() if detect_folds else None
    return PairRegistration(SIFTFeatures(3000, 0.02), MovingLeastSquares(grid_nodes=32), folds, **settings)


def alignment(source: object, output: Path, pair: PairRegistration | None = None, **settings: object) -> StackAlignment:
    sections = source if isinstance(source, list) else find_sections(source)
    return StackAlignment(sections, output, pair or registration(), **settings)


def align(source: object, output: Path, pair: PairRegistration | None = None, **settings: object) -> dict:
    """Align a stack, and give its report."""
    stack = alignment(source, output, pair, **settings)
    stack.check()
    stack.run()
    return json.loads((output / "report.json").read_text())


def write_folder(folder: Path, sections: dict[str, np.ndarray]) -> Path:
    for name, pixels in sections.items():
        write_section(folder / name, pixels)
    return folder


def loaded(output: Path, name: str) -> Transformation:
    return Transformation.load(output / "transformations" / f"{name}.npz")


def errors(output: Path, name: str, reference: str, points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How far from their places in the reference the points of a section have come, in pixels."""
    expected = loaded(output, reference).forward(places)
    return np.linalg.norm(loaded(output, name).forward(points) - expected, axis=1)


def assert_same_results(output: Path, expected: Path) -> None:
    for key in RESULTS:
        names = sorted(file.name for file in (expected / key).iterdir())
        assert sorted(file.name for file in (output / key).iterdir()) == names
        if key != "transformations":
            for name in names:
                assert (output / key / name).read_bytes() == (expected / key / name).read_bytes(), name
    for name in ("report.json", "report.csv"):
        assert (output / name).read_text() == (expected / name).read_text()
