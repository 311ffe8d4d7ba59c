"""How many labelled sections new tissue needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from bundle.data.combine import check_set, merged
from bundle.data.fetch import write_list
from bundle.data.overlap import refuse_overlap
from bundle.runs import hardware, reject_overrides, settings_for, settings_of_weights, train
from bundle.studies.evaluate import evaluate_sets
from scripts.io import load_sections, read_label, read_list, require_writable, write_atomically, write_json
from scripts.weights import sha256_of

__all__ = ["check_steps", "finetune", "markdown", "pool_and_test", "require_mitochondria", "train_and_score"]

EPOCHS = 5
BATCH = 4


def finetune(
    data: str,
    weights: str,
    output: str,
    runs: str = "runs/finetune",
    labelled: tuple[int, ...] = (0, 1, 2, 5, 15),
    steps: int = 80,
    seed: int = 0,
    learning_rate: float = 1e-3,
    finetuning_rate: float = 3e-4,
    **settings: Any,
) -> str:
    """Train on few labelled sections of a set, from given weights and from random ones, and score the test part.

    Random weights are those of the network of the given ones, with the settings of their record.
    The sections are taken at even distances from the training and validation parts together; regions of a section that
    lie side by side are one. All trainings have the same number of steps, and the weights after the last one are
    scored, since nothing is left to choose them on. A training that was finished is not repeated.

    Args:
        data: folder of the set.
        weights: weights that were trained without it.
        output: where to write, without suffix: `output.json` and `output.png`.
        runs: folder for the trainings.
        labelled: numbers of labelled sections; 0 is the given weights as they are.
        steps: of each training, with 4 patches in a step; a multiple of 5, the number of epochs.
        seed: of the trainings.
        learning_rate: from random weights.
        finetuning_rate: from the given ones.
        **settings: further settings of `train.json`.

    Returns:
        A table in Markdown.

    Raises:
        ValueError: `labelled` or `steps` is out of its range, the set lacks a part, its test part holds what is trained
            on, or no mitochondrion is labelled in it or in the sections of a training.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    labelled = tuple(labelled) if isinstance(labelled, list | tuple) else (labelled,)
    reject_overrides(settings, "epochs", "batch_size", "datalist", "resume", "init_checkpoint")
    data_dir, pool, test = pool_and_test(data)
    licence = read_list(data_dir / "datalist.json").get("licence")
    if not labelled or not all(type(count) is int and 0 <= count <= len(pool) for count in labelled):
        raise ValueError(f"labelled must hold numbers from 0 to {len(pool)}, but got {labelled}")
    check_steps(steps)
    draws = {count: [pool[(2 * i + 1) * len(pool) // (2 * count)] for i in range(count)] for count in labelled}
    for items in (test, *(draws[count] for count in labelled if count)):
        require_mitochondria(items)
    runs_dir = Path(runs).resolve() / data_dir.name
    require_writable(Path(output).parent, runs_dir)
    starts: dict[str, dict[str, Any]] = {
        "finetuned": {"learning_rate": finetuning_rate, "init_checkpoint": str(Path(weights).resolve())},
        # but for where they start, both are the same network and see sections alike
        "scratch": {"learning_rate": learning_rate, "init_checkpoint": None, "defaults": settings_of_weights(weights)},
    }
    figures: dict[str, Any] = {
        "data": data_dir.name,
        "weights": weights,
        "weights_sha256": sha256_of(Path(weights)),
        "steps": steps,
        "seed": seed,
        "learning_rates": {name: start["learning_rate"] for name, start in starts.items()},
        "settings": settings,
        "machine": hardware(),
        **{name: {} for name in starts},
    }
    for count, (name, start) in product(labelled, starts.items()):
        if count:
            folder, how = runs_dir / f"{name}_{count}", {"steps": steps, "seed": seed, "licence": licence}
            figures[name][count] = train_and_score(folder, draws[count], test, **how, **start, **settings)
        elif name == "finetuned":
            evaluation = settings_for("inference", "evaluate", **settings)
            scores = evaluate_sets(str(data_dir), checkpoint=weights, network="fusion_fcn", **evaluation)
            figures[name][0] = scores[data_dir.name]
    write_json(f"{output}.json", figures)
    _draw(figures, f"{output}.png")
    return markdown(figures)


def pool_and_test(data: str) -> tuple[Path, list[dict[str, Any]], list[dict[str, Any]]]:
    """Read a set of which some sections are to be labelled.

    Args:
        data: folder of the set.

    Returns:
        The folder, the sections that may be labelled (those of the training and validation parts, where regions of a
        section that lie side by side are one), and those of the test part.

    Raises:
        ValueError: the set lacks a part, or its test part holds what may be labelled.
        OSError: a file cannot be read.
    """
    folder = check_set(data, "training", "validation", "test")
    parts = {part: load_sections(folder / "datalist.json", part) for part in ("training", "validation", "test")}
    pool = merged(parts["training"] + parts["validation"])
    refuse_overlap(pool, parts["test"], "training", "test")
    return folder, pool, parts["test"]


def check_steps(steps: Any) -> None:
    """Refuse a number of steps that `train_and_score` cannot make.

    Args:
        steps: of a training.

    Raises:
        ValueError: it is no multiple of the number of epochs.
    """
    if type(steps) is not int or steps < EPOCHS or steps % EPOCHS:
        raise ValueError(f"steps must be a multiple of the {EPOCHS} epochs, but got {steps!r}")


def require_mitochondria(sections: Sequence[Mapping[str, Any]]) -> None:
    """Refuse sections that are to be trained on or scored together and show no mitochondrion.

    Args:
        sections: of a list.

    Raises:
        ValueError: no mitochondrion is labelled in any of them.
    """
    for section in sections:
        left, top, right, bottom = section.get("region", (None,) * 4)
        if (read_label(section, section["page"])[left:right, top:bottom] == 1).any():
            return
    files = ", ".join(dict.fromkeys(section["label"] for section in sections))
    raise ValueError(f"{files}: some mitochondrion must be labelled in what is trained on or scored, but got none")


def train_and_score(
    folder: Path,
    labelled: list[dict],
    test: list[dict],
    steps: int,
    seed: int,
    init_checkpoint: str | None,
    learning_rate: float,
    licence: str | None = None,
    **settings: Any,
) -> dict[str, dict[str, float]]:
    """Train on few sections for a number of steps, and score the weights after the last one.

    Args:
        folder: of the training; one that is complete there is not repeated.
        labelled: sections to train on.
        test: sections to score.
        steps: of the training, with 4 patches in each; see `check_steps`.
        seed: of the training.
        init_checkpoint: what to start from; random weights if None.
        learning_rate: at the start.
        licence: of the set, which the weights inherit; None where its list states none.
        **settings: further settings of `train.json`.

    Returns:
        By "without_crf" and "with_crf": `jaccard` and `mean_over_sections`.

    Raises:
        ValueError: the folder holds a training with other settings, or no mitochondrion is labelled in the sections.
        RuntimeError: from the configs, with the cause chained.
    """
    require_mitochondria(labelled)
    stated = {"name": folder.parent.name} | ({} if licence is None else {"licence": licence})
    write_list({**stated, "training": labelled, "validation": labelled, "test": test}, folder)
    train(
        "train",
        folder=folder,
        epochs=EPOCHS,
        dataset_dir=str(folder),
        seed=seed,
        batch_size=BATCH,
        val_interval=EPOCHS,
        init_checkpoint=init_checkpoint,
        learning_rate=learning_rate,
        patches_per_epoch=steps * BATCH // EPOCHS,
        **settings,
    )
    evaluation = settings_for("inference", "evaluate", **settings)
    scores = evaluate_sets(str(folder), checkpoint=str(folder / "model.pt"), network="fusion_fcn", **evaluation)
    return scores[folder.name]


def markdown(figures: dict[str, Any]) -> str:
    """Set the figures of the command as a table.

    Args:
        figures: content of its JSON file.

    Returns:
        Markdown: Jaccard over all test pixels, with the CRF, by number of labelled sections.
    """
    results = {key: {int(count): r for count, r in figures[key].items()} for key in ("finetuned", "scratch")}
    counts = sorted(results["finetuned"])
    lines = ["| labelled sections | " + " | ".join(map(str, counts)) + " |", "| --- |" + " --- |" * len(counts)]
    for key, title in (("finetuned", "from the given weights"), ("scratch", "from random weights")):
        entries = [f"{results[key][n]['with_crf']['jaccard']:.3f}" if n in results[key] else "-" for n in counts]
        lines.append(f"| {title} | " + " | ".join(entries) + " |")
    return "\n".join(lines) + f"\n\nJaccard over all test pixels of {figures['data']}, with CRF, one seed"


def _draw(figures: dict[str, Any], path: str) -> None:
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for key, title in (("finetuned", "from weights of other tissue"), ("scratch", "from random weights")):
        points = sorted((int(n), result["with_crf"]["jaccard"]) for n, result in figures[key].items())
        axes.plot(*np.array(points).T, marker="o", label=title)
    axes.set(xlabel=f"labelled sections of {figures['data']}", ylabel="Jaccard of the test part", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    write_atomically(path, lambda target: figure.savefig(target, dpi=100))
    plt.close(figure)
