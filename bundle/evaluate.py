"""What weights achieve on several sets."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from bundle.workflow import machine, run
from scripts.data import write_atomically

__all__ = ["configs_of", "evaluate", "evaluate_sets", "sha256_of"]


def evaluate(
    *data: str, checkpoint: str, network: str = "fusion_fcn", output: str | None = None, **settings: Any
) -> str:
    """Score weights on the test part of each of several sets, without and with the CRF.

    Args:
        *data: folders with a `datalist.json` that has a `test` part.
        checkpoint: weights.
        network: "fusion_fcn" or "unet".
        output: JSON file for the figures.
        **settings: further settings of the evaluation's config, such as `width` or `threshold`.

    Returns:
        A table in Markdown.

    Raises:
        ValueError: an argument is out of its range.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    figures = {
        "checkpoint": checkpoint,
        "sha256": sha256_of(Path(checkpoint)),
        "network": network,
        "machine": machine(),
        "settings": settings,
        "sets": evaluate_sets(*data, checkpoint=checkpoint, network=network, **settings),
    }
    if output is not None:
        write_atomically(output, lambda path: path.write_text(json.dumps(figures, indent=2) + "\n"))
    lines = ["| test part | without CRF | with CRF |", "| --- | --- | --- |"]
    for name, results in figures["sets"].items():
        entries = [f"{r['jaccard']:.3f} ({r['mean_over_sections']:.3f})" for r in results.values()]
        lines.append("| " + " | ".join([name, *entries]) + " |")
    return "\n".join(lines) + "\n\nJaccard over all test pixels (mean over sections)"


def evaluate_sets(*data: str, checkpoint: str, network: str, **settings: Any) -> dict[str, dict[str, dict[str, float]]]:
    """Score weights on the test part of each of several sets.

    Args:
        *data: folders of the sets.
        checkpoint: weights.
        network: "fusion_fcn" or "unet".
        **settings: further settings.

    Returns:
        By name of the set and by "without_crf" and "with_crf": `jaccard` and `mean_over_sections`.

    Raises:
        ValueError: an argument is out of its range.
        RuntimeError: from the configs, with the cause chained.
    """
    if not data:
        raise ValueError("name the folder of at least one set")
    results = {}
    for folder in data:
        with tempfile.TemporaryDirectory() as output_dir:
            run(
                *configs_of(network),
                run_id="evaluating",
                dataset_dir=folder,
                checkpoint=checkpoint,
                output_dir=output_dir,
                **settings,
            )
            report = json.loads((Path(output_dir) / "jaccard.json").read_text())
        results[Path(folder).name] = {key: report[key] for key in ("without_crf", "with_crf")}
    return results


def configs_of(network: str) -> tuple[str, ...]:
    """Give the configs that evaluate a network.

    Args:
        network: "fusion_fcn" or "unet".

    Returns:
        Names for `bundle.workflow.prepare`.

    Raises:
        ValueError: it is none of the two.
    """
    if network not in ("fusion_fcn", "unet"):
        raise ValueError(f"network has to be fusion_fcn or unet, got {network!r}")
    return ("train", "unet", "evaluate") if network == "unet" else ("train", "evaluate")


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file.

    Args:
        path: the file.

    Returns:
        Hexadecimal digest.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
