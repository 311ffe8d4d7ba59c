"""Curves of trainings, for reports."""

from __future__ import annotations

import json
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scripts.io import write_atomically, write_text

__all__ = ["plot_training"]

LOSS, JACCARD, WAIT = "train_loss", "val_jaccard", "data_wait"


def plot_training(*runs: str, output: str) -> None:
    """Draw loss and validation Jaccard of trainings from their TensorBoard logs.

    Args:
        *runs: folders of trainings (the `ckpt_dir` of each).
        output: where to write, without suffix: `output.png` is the picture, `output.json` its numbers, with the share
            of each epoch that was spent waiting for data.

    Raises:
        ValueError: no folder is given, two have the same name, or one has no log of a training.
        OSError: the files cannot be written.
    """
    if not runs:
        raise ValueError("plot_training needs the folder of at least one training")
    names = [Path(run).name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"plot_training names trainings by their folders, which must differ: {', '.join(names)}")
    series = {Path(run).name: _read(Path(run)) for run in runs}
    # one legend for both, beside them: of many trainings it would hide the curves
    figure, (loss, jaccard) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    colours = plt.get_cmap("tab20").colors
    for axes in (loss, jaccard):
        axes.set_prop_cycle(color=colours[::2] + colours[1::2])
    for name, values in series.items():
        steps, losses = np.array(values[LOSS]).T
        # single steps scatter too much to be seen through
        window = max(1, len(losses) // 50)
        smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
        loss.plot(steps[window - 1 :], smooth, label=name)
        jaccard.plot(*np.array(values[JACCARD] or [[np.nan, np.nan]]).T, marker=".")
    loss.set(xlabel="step", ylabel="loss (Dice + cross-entropy), moving mean", ylim=(0, None))
    jaccard.set(xlabel="epoch", ylabel="Jaccard of the validation sections", ylim=(0, 1))
    for axes in (loss, jaccard):
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    write_atomically(f"{output}.png", lambda path: figure.savefig(path, dpi=100))
    plt.close(figure)
    write_text(f"{output}.json", json.dumps(series))
    print(f"{output}.png, {output}.json")


def _read(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Read the scalars of a log, which a resumed training spreads over several files.

    What an earlier file holds from the first step of a later one on is of a training that was begun anew, or stopped
    within an epoch.
    """
    values: dict[str, dict[int, float]] = {LOSS: {}, JACCARD: {}, WAIT: {}}
    for file in sorted((run / "log").glob("events.out.tfevents.*")):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        for tag in values.keys() & set(events.Tags()["scalars"]):
            points = {event.step: round(event.value, 4) for event in events.Scalars(tag)}
            first = min(points, default=math.inf)
            values[tag] = {step: value for step, value in values[tag].items() if step < first} | points
    if not values[LOSS]:
        raise ValueError(f"{run}: no log of a training in its folder 'log'")
    return {tag: sorted(points.items()) for tag, points in values.items()}
