"""Whether it pays to label sections that a network is unsure of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from tqdm import tqdm

from bundle.runs import ROOT, hardware, load_network, reject_overrides, settings_for
from bundle.studies.evaluate import evaluate_sets
from bundle.studies.finetune import check_steps, pool_and_test, require_mitochondria, train_and_score
from scripts.inference import dropout_uncertainty
from scripts.io import (
    check_pixel_sizes,
    read_list,
    require_writable,
    select_query,
    write_atomically,
    write_json,
)
from scripts.resampling import at_pixel_size
from scripts.transforms import CropRegiond
from scripts.weights import git_revision, sha256_of

__all__ = ["active_learning", "markdown"]

SHOWN = ("equalize", "equalize_clip", "pixel_size", "network_pixel_size")
"""Settings that say how a network sees sections."""

STRATEGIES = ("random", "epistemic")


def active_learning(
    data: str,
    weights: str,
    output: str,
    runs: str = "runs/active_learning",
    labelled: tuple[int, ...] = (2, 4),
    repeats: int = 5,
    steps: int = 150,
    learning_rate: float = 3e-4,
    **settings: Any,
) -> str:
    """Compare sections chosen by epistemic uncertainty, as the labelling server does, with sections chosen at random.

    In each draw, both strategies choose sections, fine-tune on them, and go on choosing with the new weights until the
    last number of sections is reached. Sections are taken from the training and validation parts together; regions of a
    section that lie side by side are one. A draw's number is the seed of its choice, its dropout and its trainings. All
    trainings have the same number of steps, and the weights after the last one are scored on the test part. A training
    that was finished is not repeated.

    Args:
        data: folder of the set.
        weights: weights that were trained without it.
        output: where to write, without suffix: `output.json` and `output.png`.
        runs: folder for the trainings.
        labelled: numbers of labelled sections, ascending.
        repeats: how often each strategy is tried.
        steps: of each training, with 4 patches in a step; a multiple of 5, the number of epochs.
        learning_rate: of the trainings.
        **settings: further settings of `train.json`.

    Returns:
        A table in Markdown.

    Raises:
        ValueError: `labelled`, `repeats` or `steps` is out of its range, the set lacks a part, its test part holds what
            is trained on, or no mitochondrion is labelled in it or in the sections of a training.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    reject_overrides(settings, "epochs", "batch_size", "datalist", "resume", "init_checkpoint", "seed")
    data_dir, pool, test = pool_and_test(data)
    labelled = tuple(labelled) if isinstance(labelled, list | tuple) else (labelled,)
    _check(labelled, repeats, steps, len(pool))
    require_mitochondria(test)
    for draw in range(repeats):  # which sections are uncertain is not known yet
        require_mitochondria([pool[i] for i in _choose_random(len(pool), [], labelled[0], draw)])
    runs_dir = Path(runs).resolve() / data_dir.name
    require_writable(Path(output).parent, runs_dir)
    evaluation = settings_for("inference", "evaluate", **settings)
    sections = _read(pool, weights, **settings)
    network = {key: value for key, value in settings.items() if key in ("width", "dropout", "downsampling")}
    licence = read_list(data_dir / "datalist.json").get("licence")
    training = {"steps": steps, "learning_rate": learning_rate, "licence": licence, **settings}

    def rounds(strategy: str, draw: int) -> Iterator[dict[str, Any]]:
        """Choose, train and score, until the last number of sections is reached."""
        chosen: list[int] = []
        current = str(Path(weights).resolve())
        for count in labelled:
            if strategy == "random":
                chosen = _choose_random(len(pool), chosen, count, draw)
            else:
                chosen = _choose_uncertain(sections, chosen, count, load_network(current, **network), draw)
            folder = runs_dir / f"{strategy}_{draw}_{count}"
            items = [pool[i] for i in chosen]
            score = train_and_score(folder, items, test, seed=draw, init_checkpoint=current, **training)
            current = str(folder / "model.pt")
            yield {"chosen": [Path(item["image"]).name for item in items], **score}

    results: dict[str, list] = {strategy: [] for strategy in STRATEGIES}
    for draw, strategy in product(range(repeats), STRATEGIES):
        results[strategy].append(list(rounds(strategy, draw)))
    figures = {
        "data": data_dir.name,
        "weights": weights,
        "weights_sha256": sha256_of(Path(weights)),
        "before": evaluate_sets(str(data_dir), checkpoint=weights, network="fusion_fcn", **evaluation)[data_dir.name],
        "labelled": labelled,
        "steps": steps,
        "learning_rate": learning_rate,
        "settings": settings,
        "machine": hardware(),
        "commit": git_revision(),
        **results,
    }
    write_json(f"{output}.json", figures)
    _draw(figures, f"{output}.png")
    return markdown(figures)


def _check(labelled: tuple[int, ...], repeats: int, steps: int, count: int) -> None:
    """Refuse arguments that are out of their range, with so many sections to choose from."""
    if not labelled or list(labelled) != sorted(set(labelled)) or not 0 < labelled[0] <= labelled[-1] <= count:
        raise ValueError(f"labelled must hold ascending numbers from 1 to {count}, but got {labelled}")
    if type(repeats) is not int or repeats < 1:
        raise ValueError(f"repeats must be at least 1, but got {repeats!r}")
    check_steps(steps)


def markdown(figures: dict[str, Any]) -> str:
    """Set the figures of the command as a table.

    Args:
        figures: content of its JSON file.

    Returns:
        Markdown: Jaccard over all test pixels, with the CRF, mean and range over the repeats, by number of sections.
    """
    counts = figures["labelled"]
    lines = ["| sections chosen | " + " | ".join(map(str, counts)) + " |", "| --- |" + " --- |" * len(counts)]
    for strategy, title in (("random", "at random"), ("epistemic", "by uncertainty")):
        scores = _scores(figures, strategy)
        entries = [f"{s.mean():.3f} ({s.min():.3f} to {s.max():.3f})" for s in scores.T]
        lines.append(f"| {title} | " + " | ".join(entries) + " |")
    before, draws = figures["before"]["with_crf"]["jaccard"], len(figures["random"])
    note = f"Jaccard over all test pixels of {figures['data']}, with CRF: mean and range of {draws} draws"
    return "\n".join(lines) + f"\n\n{note}; {before:.3f} before"


def _read(pool: list[dict], weights: str, **settings: Any) -> list[torch.Tensor]:
    """Give the sections as the network of weights sees them: their grey levels, and at its pixel size."""
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "inference.json"))
    shown = {key: value for key, value in settings.items() if key in SHOWN}
    parser.update({**shown, "checkpoint": str(Path(weights).resolve())})
    pixel_size, network_pixel_size = (parser.get_parsed_content(key) for key in ("pixel_size", "network_pixel_size"))
    check_pixel_sizes(pool, pixel_size, network_pixel_size)
    transform = Compose([parser.get_parsed_content("preprocessing"), CropRegiond("image")])
    sections = (transform(item)["image"] for item in tqdm(pool, "reading"))
    return [
        at_pixel_size(section.as_tensor()[None], section.meta["pixel_size"], network_pixel_size)[0]
        for section in sections
    ]


def _choose_random(sections: int, chosen: list[int], count: int, seed: int) -> list[int]:
    """Add sections to those that were chosen, the same ones for the same seed, until there are so many."""
    order = np.random.default_rng(seed).permutation(sections).tolist()
    return chosen + [i for i in order if i not in chosen][: count - len(chosen)]


def _choose_uncertain(
    sections: list[torch.Tensor], chosen: list[int], count: int, network: torch.nn.Module, seed: int
) -> list[int]:
    """Add sections until there are so many, each as the labelling server proposes it."""
    rest = [index for index in range(len(sections)) if index not in chosen]
    scores = {str(i): dropout_uncertainty(network, sections[i], seed=seed) for i in tqdm(rest, "uncertainty")}
    while len(chosen) < count:
        best = select_query(scores, [str(index) for index in chosen])
        del scores[best]
        chosen = [*chosen, int(best)]
    return chosen


def _scores(figures: dict[str, Any], strategy: str) -> np.ndarray:
    return np.array([[scores["with_crf"]["jaccard"] for scores in rounds] for rounds in figures[strategy]])


def _draw(figures: dict[str, Any], path: str) -> None:
    counts = [0, *figures["labelled"]]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for strategy, colour in zip(STRATEGIES, ("tab:gray", "tab:blue"), strict=True):
        scores = _scores(figures, strategy)
        scores = np.column_stack([np.full(len(scores), figures["before"]["with_crf"]["jaccard"]), scores])
        axes.plot(counts, scores.T, color=colour, alpha=0.3, linewidth=1)
        axes.plot(counts, scores.mean(axis=0), color=colour, marker="o", label=strategy)
    axes.set(xlabel=f"labelled sections of {figures['data']}", ylabel="Jaccard of the test part")
    axes.set_xticks(counts)
    axes.grid(alpha=0.3)
    axes.legend()
    write_atomically(path, lambda target: figure.savefig(target, dpi=100))
    plt.close(figure)
