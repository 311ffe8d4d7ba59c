from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import HistogramNormalize
from PIL import Image
from skimage.measure import label as connected_components

from scripts.config import first_cause
from scripts.crf import dense_crf
from scripts.instances import ObjectScores, separate
from scripts.io import load_sections, read_section

ROOT = Path(__file__).parents[2]
CRF = {
    "gaussian_sxy": 3.0,
    "gaussian_compat": 0.5,
    "bilateral_sxy": 5.0,
    "bilateral_srgb": 20.0,
    "bilateral_compat": 1.0,
    "iterations": 5,
}


def test_evaluation_with_and_without_crf(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    """A network that takes each dark pixel for a mitochondrion has figures that can be computed without it."""
    steepness = 4.0
    network = torch.nn.Conv2d(1, 2, 1)
    weights = {"weight": torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1), "bias": torch.tensor([-0.3, 0.3])}
    torch.save({name: steepness * weight for name, weight in weights.items()}, tmp_path / "model.pt")
    run_config(
        "inference",
        "evaluate",
        dataset_dir=str(tiny_phantom),
        checkpoint=str(tmp_path / "model.pt"),
        output_dir=str(tmp_path / "out"),
        amp=False,
        width=0.5,
        crf=CRF,
        threshold=0.6,
        threshold_without_crf=0.4,
        network_def={"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": 1},
    )
    network.load_state_dict(torch.load(tmp_path / "model.pt"))
    counts: dict[str, list] = {"without_crf": [], "with_crf": []}
    for section in load_sections(tiny_phantom / "datalist.json", "test"):
        image = HistogramNormalize(num_bins=4096, min=0, max=1)(read_section(section["image"]).astype("float32")[None])
        label = read_section(section["label"]) > 0
        with torch.no_grad():
            probabilities = network(image.as_tensor()[None])[0].softmax(0).numpy()
        refined = dense_crf(probabilities, image.numpy(), **CRF)
        for name, result, threshold in (("without_crf", probabilities, 0.4), ("with_crf", refined, 0.6)):
            found = result[1] >= threshold
            counts[name].append([(found & label).sum(), (label & ~found).sum(), (found & ~label).sum()])

    summary = json.loads((tmp_path / "out" / "jaccard.json").read_text())
    rows = list(csv.DictReader((tmp_path / "out" / "jaccard.csv").read_text().splitlines()))
    assert summary["sections"] == len(rows) == 2
    for name, expected in counts.items():
        found = [[int(row[f"{name}_{kind}"]) for kind in ("true", "missed", "false")] for row in rows]
        np.testing.assert_allclose(found, expected, atol=3)  # stitching tiles may turn a pixel at the threshold
        true, missed, false = np.sum(found, axis=0)
        assert summary[name]["jaccard"] == pytest.approx(true / (true + missed + false))
    assert not np.allclose(counts["with_crf"], counts["without_crf"])
    with Image.open(tmp_path / "out" / "overlays" / "0000_test_000.png") as picture:
        assert np.asarray(picture).shape == (96, 96, 3)


def test_crf_off(run_config: Callable, tiny_phantom: Path, weights: Path, tmp_path: Path) -> None:
    run_config(
        "inference",
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
            "inference",
            "evaluate",
            dataset_dir=str(tiny_phantom),
            checkpoint=str(weights),
            output_dir=str(tmp_path),
            width=0.25,
        )
    assert "model.pt: these weights do not fit FusionFCN" in str(first_cause(caught.value))


@pytest.mark.parametrize("use_crf", [True, False])
def test_what_is_scored_is_what_is_written(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path, use_crf: bool
) -> None:
    """The figures are those of the masks of the inference, to the pixel."""
    recorded = {key: f"$@record['{key}']" for key in ("width", "network_pixel_size")}
    common = {"checkpoint": str(ROOT / "models" / "model.pt"), "use_crf": use_crf, **recorded}
    run_config("inference", "evaluate", dataset_dir=str(tiny_phantom), output_dir=str(tmp_path / "figures"), **common)
    images = str(tiny_phantom / "images" / "test_*.png")
    run_config("inference", dataset_dir=images, output_dir=str(tmp_path / "masks"), pixel_size=5.0, **common)
    rows = list(csv.DictReader((tmp_path / "figures" / "jaccard.csv").read_text().splitlines()))
    objects = ObjectScores()
    for row, section in zip(rows, load_sections(tiny_phantom / "datalist.json", "test"), strict=True):
        mask = read_section(tmp_path / "masks" / f"{row['section']}_mitochondria.png") > 0
        label = read_section(section["label"]) > 0
        assert 0 < mask.sum() < mask.size
        counts = [(mask & label).sum(), (label & ~mask).sum(), (mask & ~label).sum()]
        name = "with_crf" if use_crf else "without_crf"
        assert [int(row[f"{name}_{kind}"]) for kind in ("true", "missed", "false")] == counts
        objects.add(connected_components(label, connectivity=1), separate(mask, 0.8, 50), separate=True)
    scores = json.loads((tmp_path / "figures" / "objects.json").read_text())[name]
    assert scores["true"] > 1
    assert scores == pytest.approx(objects.compute(), nan_ok=True)
