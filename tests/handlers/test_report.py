from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from PIL import Image

from scripts.figures import COLOURS, overlay
from scripts.handlers import JaccardReport, ValidationFigures
from scripts.metrics import jaccard


def make_item(name: str, label: list[int], score: list[float], refined: list[float]) -> tuple[dict, dict]:
    """A section of 1x4 pixels as engine output and batch."""
    image = MetaTensor(torch.linspace(0, 1, 4).reshape(1, 1, 4), meta={"filename_or_obj": f"/data/{name}.png"})
    output = {"image": image, "label": torch.tensor(label).reshape(1, 1, 4)}
    for key, values in (("score", score), ("score_crf", refined)):
        output[key] = torch.tensor(values).reshape(1, 1, 4)
    return output, {"image": image}


@pytest.fixture
def engine() -> Engine:
    items = [
        make_item("a", [1, 1, 0, 0], [0.9, 0.1, 0.9, 0.1], [0.9, 0.9, 0.9, 0.1]),
        make_item("b", [1, 0, 0, 0], [0.9, 0.1, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1]),
    ]

    def step(engine: Engine, batch: int) -> list[dict]:
        engine.state.batch = [items[batch][1]]
        return [items[batch][0]]

    return Engine(step)


def test_jaccard() -> None:
    assert jaccard(true=3, missed=1, false=2) == 0.5
    assert math.isnan(jaccard(0, 0, 0))


def test_figures_and_pictures(tmp_path: Path, engine: Engine) -> None:
    results = {"without_crf": "score", "with_crf": "score_crf"}
    JaccardReport(tmp_path, results, note={"checkpoint": "x.pt"}).attach(engine)
    engine.run([0, 1])
    summary = json.loads((tmp_path / "jaccard.json").read_text())
    assert summary["checkpoint"] == "x.pt"
    assert summary["without_crf"] == {"jaccard": 2 / 4, "mean_over_sections": pytest.approx((1 / 3 + 1) / 2)}
    assert summary["with_crf"] == {"jaccard": 3 / 4, "mean_over_sections": pytest.approx((2 / 3 + 1) / 2)}
    rows = list(csv.DictReader((tmp_path / "jaccard.csv").read_text().splitlines()))
    assert [row["section"] for row in rows] == ["a", "b"]
    assert [rows[0][f"without_crf_{kind}"] for kind in ("true", "missed", "false")] == ["1", "1", "1"]
    with Image.open(tmp_path / "overlays" / "0000_a.png") as picture:
        assert picture.size == (1, 4)


def test_threshold(tmp_path: Path, engine: Engine) -> None:
    JaccardReport(tmp_path, {"without_crf": "score"}, thresholds={"without_crf": 0.95}).attach(engine)
    engine.run([0, 1])
    assert json.loads((tmp_path / "jaccard.json").read_text())["without_crf"]["jaccard"] == 0


def test_overlay_colours() -> None:
    label, found = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    picture = overlay(np.full((1, 4), 0.5), label, found, opacity=1)
    expected = [COLOURS["true"], COLOURS["missed"], COLOURS["false"], (128, 128, 128)]
    assert [tuple(pixel) for pixel in picture[0].tolist()] == expected


def test_panels(tmp_path: Path, engine: Engine) -> None:
    ValidationFigures(tmp_path, crf=lambda item: {"score_crf": item["score"]}, count=1).attach(engine)
    engine.run([0, 1])
    # five columns of one pixel with four gaps of four pixels
    with Image.open(tmp_path / "panel_0.png") as panel:
        assert panel.size == (5 * 1 + 4 * 4, 4)
    assert not (tmp_path / "panel_1.png").exists()
    assert list(tmp_path.glob("events.out.tfevents.*"))
