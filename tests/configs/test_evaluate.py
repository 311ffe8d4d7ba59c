from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def test_evaluation_with_and_without_crf(
    run_config: Callable, tiny_phantom: Path, weights: Path, tmp_path: Path
) -> None:
    run_config(
        "train", "evaluate", dataset_dir=str(tiny_phantom), checkpoint=str(weights), output_dir=str(tmp_path / "out")
    )
    summary = json.loads((tmp_path / "out" / "jaccard.json").read_text())
    assert summary["sections"] == 2
    rows = list(csv.DictReader((tmp_path / "out" / "jaccard.csv").read_text().splitlines()))
    for name in ("without_crf", "with_crf"):
        true, missed, false = (sum(int(row[f"{name}_{k}"]) for row in rows) for k in ("true", "missed", "false"))
        assert summary[name]["jaccard"] == pytest.approx(true / (true + missed + false))
    # both results are measured against the same truth
    totals = [
        [int(row[f"{name}_true"]) + int(row[f"{name}_missed"]) for row in rows] for name in ("without_crf", "with_crf")
    ]
    assert totals[0] == totals[1]
    with Image.open(tmp_path / "out" / "overlays" / "0000_test_000.png") as picture:
        assert np.asarray(picture).shape == (96, 96, 3)


def test_crf_off(run_config: Callable, tiny_phantom: Path, weights: Path, tmp_path: Path) -> None:
    run_config(
        "train",
        "evaluate",
        dataset_dir=str(tiny_phantom),
        checkpoint=str(weights),
        output_dir=str(tmp_path / "out"),
        use_crf=False,
    )
    assert "with_crf" not in json.loads((tmp_path / "out" / "jaccard.json").read_text())


def test_weights_that_do_not_fit(run_config: Callable, tiny_phantom: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        run_config(
            "train",
            "evaluate",
            dataset_dir=str(tiny_phantom),
            checkpoint=str(weights),
            output_dir=str(tmp_path),
            width=0.25,
        )
    assert "these weights do not fit FusionFCN" in str(caught.value.__cause__)
