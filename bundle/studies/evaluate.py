"""What weights achieve on several sets."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bundle.data.combine import check_sets
from bundle.data.overlap import find_overlap, region_of
from bundle.runs import config_names, hardware, reject_overrides, run, settings_of_weights
from bundle.studies.examples import draw_examples
from scripts.io import load_sections, require_writable, write_json
from scripts.weights import sha256_of

__all__ = ["as_entry", "evaluate", "evaluate_sets", "markdown"]

logger = logging.getLogger(__name__)


def evaluate(
    *data: str,
    checkpoint: str,
    network: str = "fusion_fcn",
    output: str | None = None,
    pictures: str | None = None,
    beside: str | None = None,
    part: str = "test",
    **settings: Any,
) -> str:
    """Score weights on the test part of each of several sets, without and with the CRF.

    Args:
        *data: folders with a `datalist.json` that has the part.
        checkpoint: weights.
        network: "fusion_fcn" or "unet", for weights without a record.
        output: JSON file for the figures.
        pictures: folder for `<set>.jpg`: the results with the CRF on the test sections with the median and the lowest
            Jaccard; none of a set without mitochondria, true or found. See `draw_examples`.
        beside: other weights, such as those of the U-Net, for the paper's Figure 3: the pictures show their results
            without the CRF, those of `checkpoint` without it, and with it.
        part: of the sets; "training" of those that have no other and were not trained on.
        **settings: further settings of the evaluation's config, such as `width` or `threshold`.

    Returns:
        A table in Markdown.

    Raises:
        ValueError: a set lacks the part, or does not fit the settings.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    if output is not None:
        require_writable(Path(output).parent)
    how = {"pictures": pictures, "beside": beside, "part": part, **settings}
    figures = {
        "checkpoint": checkpoint,
        "sha256": sha256_of(Path(checkpoint)),
        "network": network,
        "machine": hardware(),
        "part": part,
        "settings": settings,
        "sets": evaluate_sets(*data, checkpoint=checkpoint, network=network, **how),
    }
    if output is not None:
        write_json(output, figures)
    return markdown(figures["sets"], part)


def markdown(sets: dict[str, dict[str, dict[str, float]]], part: str = "test") -> str:
    """Set the figures of several sets as a table.

    Args:
        sets: what `evaluate_sets` returns.
        part: of the sets.

    Returns:
        Markdown: Jaccard over all pixels, in brackets its mean over sections, and F1 of objects.
    """
    lines = [f"| {part} part | without CRF | with CRF | objects, with CRF |", "| --- | --- | --- | --- |"]
    for name, results in sets.items():
        entries = [f"{as_entry(r['jaccard'])} ({as_entry(r['mean_over_sections'])})" for r in results.values()]
        lines.append("| " + " | ".join([name, *entries, as_entry(results["with_crf"]["object_f1"])]) + " |")
    return "\n".join(lines) + (
        "\n\nJaccard over all pixels (mean over sections); F1 of objects within sections,"
        " matched at an intersection over union of 0.5"
    )


def as_entry(score: float | None) -> str:
    """Write a score into a table.

    Args:
        score: of an evaluation; None where there is no mitochondrion, true or found.

    Returns:
        Three decimals, or a dash.
    """
    return "-" if score is None else f"{score:.3f}"


def evaluate_sets(
    *data: str,
    checkpoint: str,
    network: str,
    pictures: str | None = None,
    beside: str | None = None,
    part: str = "test",
    **settings: Any,
) -> dict[str, dict[str, dict[str, float]]]:
    """Score weights on a part of each of several sets; one that shares pixels with a training part is warned of.

    Args:
        *data: folders of the sets.
        checkpoint: weights.
        network: "fusion_fcn" or "unet", for weights without a record.
        pictures: as for `evaluate`.
        beside: as for `evaluate`.
        part: of the sets.
        **settings: further settings.

    Returns:
        By name of the set and by "without_crf" and "with_crf": `jaccard`, `mean_over_sections`, and `object_f1`
        (`f1@0.5` of `scripts.handlers.ObjectReport`); None where there is no mitochondrion, true or found.

    Raises:
        ValueError: an argument is out of its range.
        RuntimeError: from the configs, with the cause chained.
    """
    if beside is not None and pictures is None:
        raise ValueError(f"beside needs a folder for pictures, but got {beside!r} and none")
    reject_overrides(settings, "use_crf", "output_dir", "dataset_dir")
    if pictures is not None:
        require_writable(pictures)
    folders = check_sets(*data, part=part)
    if part != "training":
        _warn_of_training(folders, part)
    results = {}
    for folder in folders:
        with tempfile.TemporaryDirectory() as scratch:
            how = {"network": network, "dataset_dir": str(folder), "part": part, **settings}
            titles, columns = [], [_evaluated(Path(scratch) / "refined", checkpoint=checkpoint, use_crf=True, **how)]
            report = json.loads((columns[0] / "jaccard.json").read_text())
            objects = json.loads((columns[0] / "objects.json").read_text())
            if beside is not None:
                titles = [_name(weights, network) for weights in (beside, checkpoint)]
                titles.append(f"{titles[1]} with CRF")
                plain = [
                    _evaluated(Path(scratch) / name, checkpoint=weights, use_crf=False, **how)
                    for name, weights in (("beside", beside), ("plain", checkpoint))
                ]
                columns = [*plain, *columns]
            if pictures is not None:
                picture = Path(pictures) / f"{folder.name}.jpg"
                draw_examples(folder / "datalist.json", columns, picture, part, titles)
        results[folder.name] = {
            key: {**report[key], "object_f1": objects[key]["f1@0.5"]} for key in ("without_crf", "with_crf")
        }
    return results


def _warn_of_training(folders: Sequence[Path], part: str) -> None:
    """No error, since the weights may be those of a training without these sets."""
    trained = []
    for folder in folders:
        with suppress(OSError, ValueError):  # what is only scored need not have a training part, nor its files
            trained += load_sections(folder / "datalist.json", "training")
    for folder in folders:
        if (found := find_overlap(load_sections(folder / "datalist.json", part), trained)) is not None:
            logger.warning(
                "%s: region %s of %s is for training too: weights that were trained on it score too high",
                folder / "datalist.json",
                list(region_of(found[0])),
                found[0]["image"],
            )


def _evaluated(output_dir: Path, network: str, **settings: Any) -> Path:
    """Evaluate weights into a folder, and give it."""
    configs = config_names(network, "evaluate", base="inference")
    run(*configs, run_id="evaluating", output_dir=str(output_dir), **settings)
    return output_dir


def _name(weights: str, network: str) -> str:
    """The network of weights, as its class is called."""
    return settings_of_weights(weights, network)["network_class"].split(".")[-1]
