"""The paper's Table 1 on a set of one's own."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bundle.data.combine import check_set
from bundle.runs import config_names, reject_overrides, run, score, settings_for, train
from bundle.studies.examples import draw_examples
from bundle.studies.tune_crf import search
from scripts.io import require_writable, write_json, write_text
from scripts.weights import settings_of, sha256_of

__all__ = ["ablation", "markdown"]

NETWORKS = {"unet": "U-Net", "fusion_fcn": "Fusion FCN"}
OTHER_TISSUE = "_other_tissue"
"""What the name of a training that starts from weights of other tissue has after that of its network."""
LINES = NETWORKS | {
    f"{network}{OTHER_TISSUE}": f"{title}, from weights of other tissue" for network, title in NETWORKS.items()
}
INPUTS = {"raw": "none", "equalised": "section"}
"""Inputs, as the paper has them, and the method of `EqualizeSectiond`."""
RESULTS = {"without_crf": "without CRF", "with_crf": "with CRF"}
EPOCHS = 20


def ablation(
    data: str,
    output: str = "docs/table1",
    runs: str = "runs/table1",
    patches: int = 1000,
    width: float = 0.25,
    seeds: tuple[int, ...] = (0,),
    n_trials: int = 24,
    encoder_weights: str | None = None,
    init_checkpoints: dict[str, str] | None = None,
    **settings: Any,
) -> str:
    """Train and score U-Net and Fusion FCN with raw and equalised sections, without and with the CRF: Table 1.

    All trainings see the same number of patches, of 512x512 pixels by default, and share all other settings. The best
    epoch, the threshold and the parameters of the CRF are chosen on the validation part, the latter for each training
    by the same number of trials. Each finished training and result is kept, so that an interrupted command goes on
    where it was.

    Args:
        data: folder with a `datalist.json` that has the parts `training`, `validation` and `test`.
        output: folder for `<name of data>.md`, `.json` and `.jpg`: the table, all figures with budget and machine, and
            the results of U-Net and Fusion FCN (equalised, with CRF, first seed) on two test sections, those with the
            median and the lowest Jaccard of the Fusion FCN. See `draw_examples`.
        runs: folder for the trainings; one of other settings is refused.
        patches: number of patches that a training sees, a multiple of 20, the number of epochs.
        width: factor on the channels of both networks.
        seeds: one training of each kind for each of them.
        n_trials: sets of parameters tried for the CRF.
        encoder_weights: initial weights of the Fusion FCN's encoder, as in the paper: "imagenet" or a path. It needs a
            width of 1.
        init_checkpoints: for "unet", "fusion_fcn" or both, the weights of a whole network of that width, trained on
            other sets. Each adds a line to the table, of networks that start from them, where ImageNet's are not to be
            had.
        **settings: further settings of `train.json`, for all trainings.

    Returns:
        The table.

    Raises:
        ValueError: an argument is out of its range.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    seeds = tuple(seeds) if isinstance(seeds, list | tuple) else (seeds,)
    init_checkpoints = init_checkpoints or {}
    _check(seeds, patches, n_trials, width, encoder_weights, init_checkpoints)
    fixed = ("equalize", "use_crf", "crf", "threshold", "threshold_without_crf", "init_checkpoint")
    reject_overrides(settings, "epochs", "datalist", "resume", *fixed)
    digests = {network: sha256_of(Path(path)) for network, path in init_checkpoints.items()}
    data_dir = check_set(data, "training", "validation", "test")
    name = data_dir.name
    runs_dir = Path(runs).resolve() / name
    require_writable(output, runs_dir)
    cells = []
    starts = _starts(encoder_weights, init_checkpoints)
    for (line, start), inputs, seed in product(starts.items(), INPUTS, seeds):
        cell = _cell(
            line.removesuffix(OTHER_TISSUE),
            runs_dir / f"{line}_{inputs}_{seed}",
            n_trials,
            equalize=INPUTS[inputs],
            seed=seed,
            dataset_dir=str(data_dir),
            width=width,
            patches_per_epoch=patches // EPOCHS,
            **start,
            **settings,
        )
        cells.append({"network": line, "input": inputs, "seed": seed, **cell})
    figures = {
        "init_checkpoints": init_checkpoints,
        "init_checkpoints_sha256": digests,
        "data": name,
        "seeds": list(seeds),
        "patches": patches,
        "epochs": EPOCHS,
        "width": width,
        "encoder_weights": encoder_weights,
        "settings": settings,
        "crf_trials": n_trials,
        "machines": sorted({cell["machine"] for cell in cells}),
        "cells": cells,
    }
    table = markdown(figures)
    folder = Path(output)
    write_json(folder / f"{name}.json", figures)
    write_text(folder / f"{name}.md", table)
    tests = [runs_dir / f"{network}_equalised_{seeds[0]}" / "test" for network in NETWORKS]
    draw_examples(data_dir / "datalist.json", tests, folder / f"{name}.jpg")
    return table


def _check(
    seeds: tuple[int, ...],
    patches: int,
    n_trials: int,
    width: float,
    encoder_weights: str | None,
    init_checkpoints: dict[str, str],
) -> None:
    """Refuse arguments that are out of their range."""
    if not seeds or not all(type(seed) is int for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different whole numbers, but got {seeds}")
    if type(patches) is not int or patches < EPOCHS or patches % EPOCHS:
        raise ValueError(f"patches must be a multiple of the {EPOCHS} epochs, but got {patches!r}")
    if type(n_trials) is not int or n_trials < 1:
        raise ValueError(f"n_trials must be a whole number from 1, but got {n_trials!r}")
    if encoder_weights is not None and width != 1:
        raise ValueError(f"encoder_weights need a width of 1, but got {width}")
    if not isinstance(init_checkpoints, dict) or not set(init_checkpoints) <= set(NETWORKS):
        raise ValueError(f"init_checkpoints must name weights for {' or '.join(NETWORKS)}, but got {init_checkpoints}")


def _starts(encoder_weights: str | None, init_checkpoints: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Settings of where each line of the table starts from."""
    starts: dict[str, dict[str, Any]] = {network: {} for network in NETWORKS}
    if encoder_weights is not None:
        starts["fusion_fcn"] = {"encoder_weights": encoder_weights}
    for network in NETWORKS:
        if network in init_checkpoints:
            starts[network + OTHER_TISSUE] = {"init_checkpoint": str(Path(init_checkpoints[network]).resolve())}
    return starts


def markdown(figures: dict[str, Any]) -> str:
    """Set the table.

    Args:
        figures: content of the JSON file.

    Returns:
        Markdown: Jaccard over all test pixels, mean over sections in brackets; of several seeds mean and standard
        deviation.
    """
    seeds = figures["seeds"]
    columns = list(product(INPUTS, RESULTS))
    lines = [
        "| " + " | ".join(["", *(f"{i}, {RESULTS[r]}" for i, r in columns)]) + " |",
        "|" + " --- |" * (1 + len(columns)),
    ]
    for network, title in LINES.items():
        if not any(cell["network"] == network for cell in figures["cells"]):
            continue
        entries = []
        for inputs, result in columns:
            cells = [c[result] for c in figures["cells"] if (c["network"], c["input"]) == (network, inputs)]
            pooled, mean = ([cell["test"][key] for cell in cells] for key in ("jaccard", "mean_over_sections"))
            spread = f" ± {np.std(pooled, ddof=1):.3f}" if len(seeds) > 1 else ""
            entries.append(f"{np.mean(pooled):.3f}{spread} ({np.mean(mean):.3f})")
        lines.append("| " + " | ".join([title, *entries]) + " |")
    count = "one seed" if len(seeds) == 1 else f"mean ± standard deviation of {len(seeds)} seeds"
    return (
        "\n".join(lines) + f"\n\nJaccard over all test pixels of {figures['data']}, in brackets the mean over sections;"
        f" {count}. Each training: {figures['patches']} patches, width {figures['width']}, on"
        f" {' and '.join(figures['machines'])}. Epoch, threshold and parameters of the CRF were chosen on the"
        " validation part.\n"
    )


def _cell(network: str, folder: Path, n_trials: int, **settings: Any) -> dict[str, Any]:
    """Train, tune and test one network; give its validation and test figures without and with the CRF."""
    record = train(
        *config_names(network), folder=folder, epochs=EPOCHS, **{"val_interval": 4, "patience": EPOCHS, **settings}
    )
    result = folder / "cell.json"
    if result.is_file():
        cell = json.loads(result.read_text())
        if cell["crf_trials"] != n_trials:
            raise ValueError(
                f"{result}: was tuned with {cell['crf_trials']} trials, not {n_trials}; remove it to tune anew"
            )
        return cell
    configs = config_names(network, "evaluate", base="inference")
    evaluation = {**settings_for(*configs, **settings), "checkpoint": str(folder / "model.pt")}
    first = settings_of(folder / "model.pt")["crf"]
    tuned = search(
        score(*configs, part="validation", **evaluation),
        n_trials,
        seed=0,
        first=first,
        method=settings.get("crf_method"),
    )
    run(
        *configs,
        run_id="evaluating",
        crf=tuned["with_crf"]["parameters"],
        threshold=tuned["with_crf"]["threshold"],
        threshold_without_crf=tuned["without_crf"]["threshold"],
        output_dir=str(folder / "test"),
        **evaluation,
    )
    report = json.loads((folder / "test" / "jaccard.json").read_text())
    cell = {
        **{key: record[key] for key in ("machine", "commit", "date", "seconds")},
        "crf_trials": n_trials,
        **{name: {"validation": tuned[name], "test": report[name]} for name in RESULTS},
    }
    write_json(result, cell)
    return cell
