from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bundle.analysis.evaluate_objects import evaluate_objects
from scripts.io import write_section


def stack(*rows: list[int]) -> np.ndarray:
    """Sections of 8 columns of 6 pixels each, (width, height, pages)."""
    return np.stack(
        [np.repeat(np.repeat(np.array(row)[:, None], 6, axis=0), 20, axis=1) for row in rows], axis=-1
    ).astype(np.uint16)


def test_figures(tmp_path: Path) -> None:
    """Within sections all is right; through the stack one object is split, and one bridges two."""
    write_section(tmp_path / "truth.tif", stack([1, 0, 2, 0], [1, 0, 2, 0], [0, 3, 0, 4], [0, 3, 0, 4]))
    write_section(tmp_path / "found.tif", stack([5, 0, 6, 0], [9, 0, 6, 0], [0, 7, 0, 6], [0, 7, 0, 6]))
    table = evaluate_objects(str(tmp_path / "truth.tif"), str(tmp_path / "found.tif"), str(tmp_path / "figures.json"))
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["sections"]["f1@0.5"] == figures["sections"]["ap"] == 1
    assert figures["stack"]["f1@0.5"] == pytest.approx(2 * 1 / 8)
    assert (figures["stack"]["split"], figures["stack"]["merged"]) == (1, 1)
    assert "| f1@0.5 | 1.000 | 0.250 |" in table


def test_what_does_not_fit(tmp_path: Path) -> None:
    write_section(tmp_path / "two.tif", stack([1, 0], [1, 0]))
    write_section(tmp_path / "one.tif", stack([1, 0]))
    write_section(tmp_path / "wide.tif", stack([1, 0, 0], [1, 0, 0]))
    write_section(tmp_path / "half.tif", stack([1, 0], [1, 0]).astype(np.float32) / 2)
    for found, message in (
        ("one", "must hold 2 sections"),
        ("wide", r"wide\.tif: must be of"),
        ("half", "whole numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_objects(str(tmp_path / "two.tif"), str(tmp_path / f"{found}.tif"))
