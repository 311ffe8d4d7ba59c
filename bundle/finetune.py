"""How many labelled sections new tissue needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from bundle.evaluate import evaluate_sets
from bundle.workflow import machine, train
from scripts.data import load_sections, write_atomically

__all__ = ["finetune"]

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

    The sections are taken at even distances from the training and validation parts together. All trainings have the
    same number of steps, and the weights after the last one are scored, since nothing is left to choose them on. A
    training that was finished is not repeated.

    Args:
        data: folder of the set.
        weights: weights that were trained without it.
        output: where to write, without suffix: `output.json` and `output.png`.
        runs: folder for the trainings.
        labelled: numbers of labelled sections; 0 is the given weights as they are.
        steps: of each training, with 4 patches in a step.
        seed: of the trainings.
        learning_rate: from random weights.
        finetuning_rate: from the given ones.
        **settings: further settings of `train.json`.

    Returns:
        A table in Markdown.

    Raises:
        ValueError: an argument is out of its range.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    datalist = Path(data) / "datalist.json"
    pool = [item for part in ("training", "validation") for item in load_sections(datalist, part)]
    test = load_sections(datalist, "test")
    if not all(isinstance(count, int) and 0 <= count <= len(pool) for count in labelled):
        raise ValueError(f"labelled has to hold numbers from 0 to {len(pool)}, got {labelled}")
    shipped, scratch = {}, {}
    for count in labelled:
        if count == 0:
            shipped[0] = evaluate_sets(data, checkpoint=weights, network="fusion_fcn", **settings)[Path(data).name]
            continue
        chosen = [pool[i] for i in np.linspace(0, len(pool) - 1, count + 2).round().astype(int)[1:-1]]
        if count == len(pool):
            chosen = pool
        for name, results, start in (("finetuned", shipped, weights), ("scratch", scratch, None)):
            folder = Path(runs).resolve() / Path(data).name / f"{name}_{count}"
            content = json.dumps({"training": chosen, "validation": chosen, "test": test})
            write_atomically(folder / "datalist.json", lambda path, content=content: path.write_text(content))
            train(
                "train",
                folder=folder,
                epochs=EPOCHS,
                dataset_dir=str(folder),
                seed=seed,
                batch_size=BATCH,
                patches_per_section=max(1, round(steps * BATCH / EPOCHS / count)),
                val_interval=EPOCHS,
                initial_weights=start,
                learning_rate=learning_rate if start is None else finetuning_rate,
                **settings,
            )
            checkpoint = str(folder / "model.pt")
            results[count] = evaluate_sets(str(folder), checkpoint=checkpoint, network="fusion_fcn", **settings)[
                folder.name
            ]
    figures = {
        "data": Path(data).name,
        "weights": weights,
        "steps": steps,
        "seed": seed,
        "machine": machine(),
        "learning_rate": learning_rate,
        "finetuning_rate": finetuning_rate,
        "finetuned": shipped,
        "scratch": scratch,
    }
    write_atomically(f"{output}.json", lambda path: path.write_text(json.dumps(figures, indent=2) + "\n"))
    _draw(figures, f"{output}.png")
    return _table(figures, labelled)


def _table(figures: dict[str, Any], labelled: tuple[int, ...]) -> str:
    lines = ["| labelled sections | " + " | ".join(map(str, labelled)) + " |", "| --- |" + " --- |" * len(labelled)]
    for key, title in (("finetuned", "from the given weights"), ("scratch", "from random weights")):
        entries = [f"{figures[key][n]['with_crf']['jaccard']:.3f}" if n in figures[key] else "-" for n in labelled]
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
