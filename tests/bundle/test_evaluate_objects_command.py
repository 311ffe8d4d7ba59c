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


@pytest.mark.parametrize(
    ("dtype", "base"), [(np.uint32, 3_100_000_000), (np.uint64, 720_575_940_379_279_360), (np.uint64, 2**63)]
)
def test_numbers_of_any_size(tmp_path: Path, dtype: type, base: int) -> None:
    true = [1, 0, 2, 0], [1, 0, 2, 0], [0, 3, 0, 4], [0, 3, 0, 4]
    rows = true, ([5, 0, 6, 0], [9, 0, 6, 0], [0, 7, 0, 6], [0, 7, 0, 6])
    for kind in ("small", "large"):
        for name, numbers in zip(("truth", "found"), rows, strict=True):
            pixels = stack(*numbers).astype(dtype)
            if kind == "large":
                pixels[pixels > 0] += dtype(base)
            write_section(tmp_path / kind / f"{name}.tif", pixels)
    small, large = (
        evaluate_objects(str(tmp_path / kind / "truth.tif"), str(tmp_path / kind / "found.tif"))
        for kind in ("small", "large")
    )
    assert large == small
