"""Weights between those before and after a fine-tuning."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from bundle.data.combine import check_choice, check_sets
from bundle.runs import config_names, hardware, reject_overrides, score, settings_of_weights
from bundle.studies.tune_crf import BINS, best_threshold, jaccard_by_threshold, score_counts
from scripts.handlers.loading import read_weights
from scripts.io import require_writable, write_atomically, write_json
from scripts.weights import git_revision, read_record, record_path, save_weights, sha256_of

__all__ = ["average", "count_scores", "interpolate", "judge", "markdown"]

ORIGINS = ("training_data", "seed", "commit", "date")


def average(
    *data: str,
    before: str,
    after: str,
    output: str,
    shares: Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    network: str = "fusion_fcn",
    part: str = "validation",
    **settings: Any,
) -> str:
    """Average the weights before and after a fine-tuning, by the share that scores best on the validation parts.

    Weights on the straight line between the two keep more of what the first knew than fine-tuning leaves (Wortsman et
    al., "Robust fine-tuning of zero-shot models", CVPR 2022, equation 1). Each share is judged by its mean over the
    sets, at the one threshold that is best for all of them together. Running statistics of batch normalisation are
    averaged with the weights. The test parts are not looked at.

    Args:
        *data: folders of sets with a `datalist.json` that has the part.
        before: weights that the fine-tuning began from.
        after: weights that it gave.
        output: where to write, without suffix: `output.pt` with its record `output.json`, and the curve of the choice
            as `output_shares.json` and `output_shares.png`.
        shares: of the weights after, from 0 (before) to 1 (after).
        network: "fusion_fcn" or "unet", for weights without a record.
        part: of the sets that the choice is made on.
        **settings: further settings of the evaluation's config, such as `width`.

    Returns:
        A table in Markdown.

    Raises:
        ValueError: an argument is out of its range, or the weights are not of one network.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    shares = [float(share) for share in (shares if isinstance(shares, list | tuple) else [shares])]
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"shares must lie in [0, 1], but got {shares}")
    reject_overrides(settings, "use_crf", "output_dir", "dataset_dir", "part", "checkpoint")
    folders = check_sets(*data, part=part)
    for folder in folders:
        check_choice(folder, part)
    target = Path(f"{output}.pt")
    require_writable(target.parent)
    ends = [read_weights(path) for path in (before, after)]
    needed = settings_of_weights(after, network, settings)
    configs = config_names(network, "evaluate", base="inference")
    tried = []
    for share in shares:
        counts = count_scores(configs, interpolate(*ends, share), needed, folders, part=part, **settings)
        tried.append({"share": share, **judge(counts)})
    best = max(tried, key=lambda row: row["mean"])
    figures = {
        "before": {"file": before, "sha256": sha256_of(before)},
        "after": {"file": after, "sha256": sha256_of(after)},
        "datalists_sha256": {folder.name: sha256_of(folder / "datalist.json") for folder in folders},
        "part": part,
        "settings": settings,
        "machine": hardware(),
        "commit": git_revision(),
        "share": best["share"],
        "tried": tried,
    }
    origin = {key: value for key, value in read_record(after).items() if key in ORIGINS}
    trained_on = {**read_record(before).get("training_data", {}), **origin.get("training_data", {})}
    record = {
        "settings": needed | {"threshold_without_crf": best["threshold"]},
        **origin,
        "training_data": trained_on,
        "average": {key: figures[key] for key in ("before", "after", "share")},
    }
    save_weights(interpolate(*ends, best["share"]), target, record)
    write_json(f"{output}_shares.json", figures)
    _draw(tried, Path(f"{output}_shares.png"))
    return f"{markdown(figures)}\n\nWeights: {target}, record: {record_path(target)}"


def interpolate(
    before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """Average two state dicts of one network.

    Args:
        before: the first.
        after: the second.
        share: of the second, in [0, 1].

    Returns:
        float32 state dict `(1 - share) * before + share * after`; what is no floating-point number, such as the
        counters of batch normalisation, as in the second.

    Raises:
        ValueError: the two are not of one network.
    """
    shapes = [{key: tuple(value.shape) for key, value in weights.items()} for weights in (before, after)]
    for key in sorted(shapes[0].keys() | shapes[1].keys()):
        was, now = (shape.get(key, "none") for shape in shapes)
        if was != now:
            raise ValueError(f"weights must be of one network to be averaged, but {key} has shape {was} and {now}")
    return {
        key: torch.lerp(before[key].float(), value.float(), share) if value.is_floating_point() else value
        for key, value in after.items()
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """Set the figures of the command as a table.

    Args:
        figures: content of `output_shares.json`.

    Returns:
        Markdown: Jaccard without CRF by share and set.
    """
    names = list(figures["tried"][0]["jaccard"])
    lines = ["| share | " + " | ".join(names) + " | mean | threshold |", "| --- |" + " --- |" * (len(names) + 2)]
    for row in figures["tried"]:
        values = [f"{value:.3f}" for value in (*row["jaccard"].values(), row["mean"])]
        chosen = " (chosen)" if row["share"] == figures["share"] else ""
        lines.append(f"| {row['share']:g}{chosen} | " + " | ".join(values) + f" | {row['threshold']:.2f} |")
    return "\n".join(lines) + f"\n\nJaccard over all pixels of the {figures['part']} parts, without CRF"


def count_scores(
    configs: Sequence[str],
    weights: Mapping[str, torch.Tensor],
    needed: Mapping[str, Any],
    folders: Sequence[Path],
    **how: Any,
) -> dict[str, np.ndarray]:
    """Score a part of each set by weights that lie in no file yet.

    Args:
        configs: names of those of an evaluation.
        weights: state dict.
        needed: settings of the weights.
        folders: of the sets.
        **how: settings, `part` among them.

    Returns:
        `score_counts` by name of the set.

    Raises:
        RuntimeError: from the configs, with the cause chained.
    """
    counts = {}
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch) / "model.pt"
        save_weights(weights, checkpoint, {"settings": needed})
        for folder in folders:
            sections = score(*configs, checkpoint=str(checkpoint), dataset_dir=str(folder), **how)
            counts[folder.name] = sum(score_counts(s.mitochondria, s.label) for s in sections)
    return counts


def judge(counts: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Judge weights by their mean over sets, at the one threshold that is best for all of them together.

    Args:
        counts: by name of the set, see `count_scores`.

    Returns:
        `threshold`, `mean`, and `jaccard` by name of the set.
    """
    best = best_threshold(*counts.values())
    at = round(best["threshold"] * BINS)
    return {
        "threshold": best["threshold"],
        "mean": best["jaccard"],
        "jaccard": {name: round(float(jaccard_by_threshold(count)[at]), 4) for name, count in counts.items()},
    }


def _draw(tried: Sequence[Mapping[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    rows = sorted(tried, key=lambda row: row["share"])
    shares = [row["share"] for row in rows]
    for name in rows[0]["jaccard"]:
        axes.plot(shares, [row["jaccard"][name] for row in rows], marker=".", label=name)
    axes.plot(shares, [row["mean"] for row in rows], color="black", marker="o", label="mean")
    axes.set(xlabel="share of the weights after fine-tuning", ylabel="Jaccard, without CRF")
    axes.legend()
    axes.grid(alpha=0.3)
    write_atomically(path, lambda partial: figure.savefig(partial, dpi=100))
    plt.close(figure)
