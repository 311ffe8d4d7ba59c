"""The paper's Table 1 on a set of one's own."""

from __future__ import annotations

import csv
import json
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundle.tune_crf import search
from bundle.workflow import ROOT, machine, run, score, train
from scripts.data import load_sections, read_section, write_atomically
from scripts.handlers import overlay, save_picture

__all__ = ["markdown", "table1"]

NETWORKS = {"unet": "U-Net", "fusion_fcn": "Fusion FCN"}
INPUTS = {"raw": "raw", "equalised": "equalised"}
RESULTS = {"without_crf": "without CRF", "with_crf": "with CRF"}
EPOCHS = 20
TRAINING_ONLY = ("patches_per_section", "learning_rate", "weight_decay", "patch_sampling", "scale_range", "pretrained")
PANEL_SIZE, GAP = 512, 8  # pixels of the longer side of a picture's parts, and between them


def table1(
    data: str,
    output: str = "docs/table1",
    runs: str = "runs/table1",
    patches: int = 1000,
    width: float = 0.25,
    seeds: tuple[int, ...] = (0,),
    trials: int = 24,
    pretrained: str | None = None,
    **settings: Any,
) -> str:
    """Train and score U-Net and Fusion FCN with raw and equalised sections, without and with the CRF: Table 1.

    All trainings see the same number of patches, of 512x512 pixels by default, and share all other settings. The best
    epoch, the threshold and the parameters of the CRF are chosen on the validation part, the latter for each training
    by the same number of trials. Each finished training and result is kept, so that an interrupted command goes on
    where it was.

    Args:
        data: folder with a `datalist.json` that has the parts `training`, `validation` and `test`.
        output: folder for `<name of data>.md`, `.json` and `.png`: the table, all figures with budget and machine, and
            the test sections with the median and the lowest Jaccard of the Fusion FCN (equalised, with CRF).
        runs: folder for the trainings.
        patches: number of patches that a training sees.
        width: factor on the channels of both networks.
        seeds: one training of each kind for each of them.
        trials: sets of parameters tried for the CRF.
        pretrained: initial weights of the Fusion FCN's encoder, as in the paper: "imagenet" or a path. It needs a width
            of 1.
        **settings: further settings of `train.json`, for all trainings.

    Returns:
        The table.

    Raises:
        ValueError: an argument is out of its range.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    seeds = tuple(seeds) if isinstance(seeds, list | tuple) else (seeds,)
    if not seeds or not all(isinstance(seed, int) for seed in seeds):
        raise ValueError(f"seeds has to be one or more whole numbers, got {seeds}")
    name = Path(data).name
    settings = {"dataset_dir": data, "width": width, **settings}
    datalist = Path(data) / "datalist.json"
    items = load_sections(datalist, "training")
    settings.setdefault("patches_per_section", max(1, round(patches / EPOCHS / len(items))))
    cells = {}
    for network, inputs, seed in product(NETWORKS, INPUTS, seeds):
        folder = Path(runs).resolve() / name / f"{network}_{inputs}_{seed}"
        cells[network, inputs, seed] = _cell(
            network, folder, trials, equalize=inputs == "equalised", seed=seed, **settings
        )
    figures = {
        "data": name,
        "date": str(date.today()),
        "machine": machine(),
        "seeds": list(seeds),
        "epochs": EPOCHS,
        "patches": settings["patches_per_section"] * EPOCHS * len(items),
        "settings": {key: value for key, value in settings.items() if key != "dataset_dir"},
        "crf_trials": trials,
        "pretrained": pretrained,
        "cells": [
            {"network": network, "input": inputs, "seed": seed, **cell}
            for (network, inputs, seed), cell in cells.items()
        ],
    }
    table = markdown(figures)
    folder = Path(output)
    write_atomically(folder / f"{name}.json", lambda path: path.write_text(json.dumps(figures, indent=2) + "\n"))
    write_atomically(folder / f"{name}.md", lambda path: path.write_text(table))
    _picture(Path(runs).resolve() / name, seeds[0], load_sections(datalist, "test"), folder / f"{name}.png")
    return table


def markdown(figures: dict[str, Any]) -> str:
    """Set the table.

    Args:
        figures: content of the JSON file.

    Returns:
        Markdown: Jaccard over all test pixels, mean over sections in brackets; of several seeds mean and range.
    """
    seeds = figures["seeds"]
    columns = list(product(INPUTS, RESULTS))
    lines = [
        "| " + " | ".join(["", *(f"{INPUTS[i]}, {RESULTS[r]}" for i, r in columns)]) + " |",
        "|" + " --- |" * (1 + len(columns)),
    ]
    for network, title in NETWORKS.items():
        entries = []
        for inputs, result in columns:
            cells = [c[result] for c in figures["cells"] if (c["network"], c["input"]) == (network, inputs)]
            pooled, mean = ([cell["test"][key] for cell in cells] for key in ("jaccard", "mean_over_sections"))
            spread = f", {min(pooled):.3f}-{max(pooled):.3f}" if len(seeds) > 1 else ""
            entries.append(f"{np.mean(pooled):.3f} ({np.mean(mean):.3f}{spread})")
        lines.append("| " + " | ".join([title, *entries]) + " |")
    count = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    return (
        "\n".join(lines) + f"\n\nJaccard over all test pixels of {figures['data']} (mean over sections), {count}."
        f" Each training: {figures['patches']} patches, width {figures['settings']['width']}; {figures['machine']},"
        f" {figures['date']}. Epoch, threshold and parameters of the CRF were chosen on the validation part.\n"
    )


def _cell(network: str, folder: Path, trials: int, **settings: Any) -> dict[str, Any]:
    """Train, tune and test one network; give its validation and test figures without and with the CRF."""
    result = folder / "cell.json"
    if result.is_file():
        return json.loads(result.read_text())
    configs = ("train", "unet") if network == "unet" else ("train",)
    train(*configs, folder=folder, epochs=EPOCHS, **{"val_interval": 4, "patience": EPOCHS, **settings})
    evaluation = {key: value for key, value in settings.items() if key not in TRAINING_ONLY}
    evaluation["checkpoint"] = str(folder / "model.pt")
    configs = (*configs, "evaluate")
    sections = score(*configs, part="validation", output_dir=str(folder / "validation"), **evaluation)
    first = json.loads((ROOT / "configs" / "train.json").read_text())["crf"]
    tuned = search(sections, trials, 0, first)
    cell = {}
    for name in RESULTS:
        crf = tuned[name].get("parameters")
        run(
            *configs,
            run_id="evaluating",
            use_crf=crf is not None,
            threshold=tuned[name]["threshold"],
            output_dir=str(folder / name),
            **({} if crf is None else {"crf": crf}),
            **evaluation,
        )
        test = json.loads((folder / name / "jaccard.json").read_text())[name]
        cell[name] = {"validation": tuned[name], "test": test}
    write_atomically(result, lambda path: path.write_text(json.dumps(cell, indent=2)))
    return cell


def _picture(folder: Path, seed: int, items: list[dict], path: Path) -> None:
    """Draw section, truth, U-Net and Fusion FCN side by side, for the median and the worst test section."""
    best = folder / f"fusion_fcn_equalised_{seed}" / "with_crf" / "jaccard.csv"
    with open(best, newline="") as file:
        scores = [float(row["with_crf_jaccard"]) for row in csv.DictReader(file)]
    ranked = sorted((score, number) for number, score in enumerate(scores) if not np.isnan(score))
    lines = []
    for _, number in (ranked[len(ranked) // 2], ranked[0]):
        left, top, right, bottom = items[number].get("region", (None,) * 4)
        image, label = (
            read_section(items[number][key], items[number]["page"])[left:right, top:bottom].astype(np.float32)
            for key in ("image", "label")
        )
        grey, truth = image / image.max(), label >= 128 if label.max() > 1 else label > 0
        nothing = np.zeros_like(truth)
        panels = [overlay(grey, nothing, nothing), overlay(grey, truth, truth)]
        for network in NETWORKS:
            overlays = sorted(
                (folder / f"{network}_equalised_{seed}" / "with_crf" / "overlays").glob(f"{number:04d}_*")
            )
            panels.append(np.asarray(Image.open(overlays[0])).swapaxes(0, 1))
        lines.append(_joined([_panel(panel) for panel in panels], axis=0))
    save_picture(_joined(lines, axis=1), path)


def _panel(picture: np.ndarray) -> np.ndarray:
    panel = Image.fromarray(picture)
    panel.thumbnail((PANEL_SIZE, PANEL_SIZE))
    return np.asarray(panel)


def _joined(pictures: list[np.ndarray], axis: int) -> np.ndarray:
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=axis)
