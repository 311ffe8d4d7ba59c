"""Making weights of a training those that the bundle ships."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundle.data.combine import check_set
from bundle.runs import ROOT, hardware, load_network, settings_of_weights
from bundle.studies.evaluate import evaluate_sets
from scripts.handlers.loading import read_weights
from scripts.io import write_json
from scripts.weights import copy_weights, read_record, record_path, save_weights, training_data

__all__ = ["TOLERANCE", "halve", "mean_logit", "publish"]

TOLERANCE = 5e-4
"""Most that the Jaccard index may change by rounding to half precision."""

TARGET = ROOT
"""Bundle that gets the weights."""

CHECK = "numpy.random.default_rng(0).random((1, 1, 256, 256), dtype=numpy.float32)"

MEASURED = (".running_mean", ".running_var")
"""Ends of the names of what batch normalisations measure."""

FOLDERS = {"FusionFCN": "models", "UNet": "models/unet"}


def publish(
    *data: str,
    run: str,
    commit: str,
    seed: int | None = None,
    chosen_on: str | None = None,
    weights: str | None = None,
    also_trained_on: Sequence[str] = (),
    tested_on: Sequence[str] = (),
    folder: str | None = None,
    network: str = "fusion_fcn",
    note: str = "",
    **settings: Any,
) -> str:
    """Write the best weights of a training into `models`, in half precision, with a record of where they come from.

    The weights are scored on the test part of each set before and after rounding; if the figures differ by more than
    `TOLERANCE`, nothing is written.

    Args:
        *data: folders of the sets that the weights were trained on, with a test part.
        run: folder of the training.
        commit: what the training was run from.
        seed: that of the training; by default what its record says.
        chosen_on: folder of the training whose validation the choices were made on, where `run` took the validation
            part in.
        weights: what is published in place of the best weights of the training, such as what `average` made of them.
        also_trained_on: folders of further sets that they were trained on, which have no test part.
        tested_on: folders of further sets with a test part, of which they saw nothing.
        folder: in the bundle, such as "models/synthetic"; by default "models", or "models/unet" for a U-Net.
        network: "fusion_fcn" or "unet", for a training that left no record beside its weights.
        note: what else is to be remembered, such as the command and the time it took.
        **settings: further settings of the evaluation's config.

    Returns:
        The record.

    Raises:
        ValueError: a weight does not fit into half precision, the figures differ too much, or `folder` lies elsewhere
            than in `models`.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    more, others = ([names] if isinstance(names, str) else names for names in (also_trained_on, tested_on))
    for name in more:
        check_set(name, "training")
    models = (TARGET / "models").resolve()
    if folder is not None and not (TARGET / folder).resolve().is_relative_to(models):
        raise ValueError(f"folder must lie in {models}, but got {folder!r}")
    best = Path(run) / "model.pt" if weights is None else Path(weights)
    chosen = torch.load(Path(chosen_on or run) / "checkpoint.pt", map_location="cpu", weights_only=True)
    state = torch.load(Path(run) / "checkpoint.pt", map_location="cpu", weights_only=True)
    half = halve(read_weights(best))
    rounded = Path(run) / "model_float16.pt"
    origin = read_record(best)
    needed = settings_of_weights(best, network, settings)
    save_weights(half, rounded, {"settings": needed})
    before = evaluate_sets(*data, *others, checkpoint=str(best), network=network, **settings)
    after = evaluate_sets(*data, *others, checkpoint=str(rounded), network=network, **settings)
    for name, results in after.items():
        for kind, result in results.items():
            change = result["jaccard"] - before[name][kind]["jaccard"]
            if abs(change) > TOLERANCE:
                raise ValueError(f"{best}: half precision changes the Jaccard of {name}, {kind}, by {change:+.5f}")
    record = {
        **json.loads(record_path(rounded).read_text()),
        "precision": "float16",
        "date": str(date.today()),
        "training_data": {
            **origin.get("training_data", {}),
            **training_data(*(Path(name) / "datalist.json" for name in (*data, *more))),
        },
        "seed": origin.get("seed") if seed is None else seed,
        "epochs": state["epoch"],
        "best_epoch": state["best_metric_epoch"],
        "steps": state["iteration"],
        "validation_jaccard": round(chosen["best_metric"], 4),
        "commit": str(commit),
        "machine": hardware(),
        "note": note,
        **{key: value for key, value in origin.items() if key in ("average", "init_checkpoint_sha256")},
        "test": after,
        "check": {"input": CHECK, "mean_logit": mean_logit(load_network(rounded))},
    }
    write_json(record_path(rounded), record)
    folder = folder or FOLDERS[needed["network_class"].split(".")[-1]]
    copy_weights(rounded, TARGET / folder / "model.pt")
    return json.dumps(record, indent=2)


def mean_logit(network: torch.nn.Module) -> float:
    """Compute the stored result by which a loaded network can be checked.

    Args:
        network: in evaluation mode; gives logits of (1, 1, 256, 256).

    Returns:
        Mean logit of mitochondrion in the image that `CHECK` makes: noise, on which probabilities would all be 0.
    """
    image = torch.from_numpy(np.random.default_rng(0).random((1, 1, 256, 256), dtype=np.float32))
    with torch.no_grad():
        return round(float(network(image)[:, 1].mean()), 5)


def halve(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Round floating-point weights to half precision.

    The variances that a batch normalisation has measured may be larger than half precision can hold, where the layers
    before it have no scale of their own. They are few numbers, and stay in single precision then.

    Args:
        weights: state dict.

    Returns:
        The same with float16 in place of float32; counters stay as they are.

    Raises:
        ValueError: a weight is too large for half precision.
    """
    half = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    for key, value in half.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            if not key.endswith(MEASURED):
                raise ValueError(f"{key} holds values that half precision cannot")
            half[key] = weights[key]
    return half
