from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from scripts.handlers import ObjectReport
from scripts.transforms import BinarizeLabeld


def evaluate(folder: Path, instances: np.ndarray, found: np.ndarray, label_format: str, **more: int) -> dict:
    """Score one section (width, height)."""
    item = {"label": MetaTensor(torch.from_numpy(instances)[None]), "label_format": label_format, **more}
    item = BinarizeLabeld("label", instances_key="instances")(item)

    def step(engine: Engine, batch: int) -> list[dict]:
        engine.state.batch = [item]
        return [{"label": item["label"], "score": torch.from_numpy(found)[None]}]

    engine = Engine(step)
    ObjectReport(folder, {"without_crf": "score"}, {"without_crf": 0.7}).attach(engine)
    engine.run([0])
    return json.loads((folder / "objects.json").read_text())["without_crf"]


def test_touching_mitochondria(tmp_path: Path) -> None:
    """Two discs that touch are two where the label numbers them, and one where it is a mask."""
    x, y = np.ogrid[:80, :40]
    discs = [(x - centre) ** 2 + (y - 20) ** 2 <= 15**2 for centre in (20, 50)]
    instances = (discs[0] + 2 * (discs[1] & ~discs[0])).astype(np.int32)
    found = np.where(instances > 0, 0.8, 0.6).astype(np.float32)
    numbered = evaluate(tmp_path, instances, found, "instances")
    assert (numbered["true"], numbered["found"], numbered["f1@0.5"], numbered["merged"]) == (2, 2, 1, 0)
    mask = evaluate(tmp_path, (instances > 0).astype(np.uint8), found, "mask")
    assert (mask["true"], mask["found"], mask["split"]) == (1, 2, 1)


def test_nothing_to_find(tmp_path: Path) -> None:
    scores = evaluate(tmp_path, np.zeros((20, 20), np.int32), np.zeros((20, 20), np.float32), "instances")
    assert (scores["true"], scores["found"], scores["f1@0.5"]) == (0, 0, None)
    false = np.zeros((20, 20), np.float32)
    false[5:15, 5:15] = 1
    assert evaluate(tmp_path, np.zeros((20, 20), np.int32), false, "mask")["precision@0.5"] == pytest.approx(0)


@pytest.mark.parametrize("label_format", ["instances", "mask"])
def test_what_is_not_known_is_no_mitochondrion(tmp_path: Path, label_format: str) -> None:
    label = np.zeros((40, 40), np.int32)
    label[5:15, 5:15], label[20:] = 1, 99
    found = (label == 1).astype(np.float32)
    scores = evaluate(tmp_path, label, found, label_format, ignore_value=99)
    assert (scores["true"], scores["found"], scores["f1@0.5"]) == (1, 1, 1)
