from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.table1 import markdown, table1


def test_table1_from_training_to_table_and_only_once(tiny_phantom: Path, tmp_path: Path, tiny: dict) -> None:
    settings = {**tiny, "output": str(tmp_path / "out"), "runs": str(tmp_path / "runs"), "patches": 40, "trials": 2}
    table = table1(str(tiny_phantom), **settings)
    figures = json.loads((tmp_path / "out" / "phantom.json").read_text())
    assert (tmp_path / "out" / "phantom.md").read_text() == table == markdown(figures)
    assert figures["patches"] == 40
    assert [(cell["network"], cell["input"]) for cell in figures["cells"]] == [
        ("unet", "raw"),
        ("unet", "equalised"),
        ("fusion_fcn", "raw"),
        ("fusion_fcn", "equalised"),
    ]
    runs = tmp_path / "runs" / "phantom"
    for cell in figures["cells"]:
        folder = runs / f"{cell['network']}_{cell['input']}_0"
        for name in ("without_crf", "with_crf"):
            report = json.loads((folder / name / "jaccard.json").read_text())
            assert report[name] == cell[name]["test"]
            assert report["equalize"] == (cell["input"] == "equalised")
            assert report["threshold"] == cell[name]["validation"]["threshold"]
            parameters = cell[name]["validation"].get("parameters")
            assert report["crf"] == parameters
    picture = np.asarray(Image.open(tmp_path / "out" / "phantom.png"))
    assert picture.shape == (2 * 96 + 8, 4 * 96 + 3 * 8, 3)
    # a second run takes what is there
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    table1(str(tiny_phantom), **settings)
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()} == before


def test_the_table_of_several_seeds_gives_mean_and_range() -> None:
    def cell(network: str, inputs: str, value: float) -> dict:
        test = {"jaccard": value, "mean_over_sections": value - 0.1}
        return {"network": network, "input": inputs, "without_crf": {"test": test}, "with_crf": {"test": test}}

    cells = [
        cell(network, inputs, value)
        for network in ("unet", "fusion_fcn")
        for inputs in ("raw", "equalised")
        for value in (0.6, 0.8)
    ]
    figures = {"seeds": [0, 1], "cells": cells, "data": "d", "patches": 1, "machine": "m", "date": "t"}
    table = markdown({**figures, "settings": {"width": 1}})
    assert table.count("0.700 (0.600, 0.600-0.800)") == 8
    assert "2 seeds" in table


def test_seeds_have_to_be_numbers(tiny_phantom: Path) -> None:
    with pytest.raises(ValueError, match="seeds has to be"):
        table1(str(tiny_phantom), seeds=())
