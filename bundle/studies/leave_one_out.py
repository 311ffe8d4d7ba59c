"""What weights achieve on tissue that they were not trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.data.combine import check_set, check_sets, combine, read_parts, set_weights
from bundle.data.fetch import write_list
from bundle.data.overlap import refuse_overlap
from bundle.runs import config_names, hardware, reject_overrides, run, settings_for, train
from bundle.studies.adapt import MADE_HERE, adapt
from bundle.studies.evaluate import as_entry
from bundle.studies.examples import draw_examples
from bundle.studies.finetune import BATCH, EPOCHS, check_steps
from scripts.io import require_writable, write_json, write_text
from scripts.weights import sha256_of

__all__ = ["leave_one_out", "markdown"]

NETWORKS = ("fusion_fcn", "unet")
THRESHOLD = 0.5


def leave_one_out(
    *data: str,
    left_out: str | Sequence[str],
    output: str,
    runs: str = "runs/leave_one_out",
    networks: str | Sequence[str] = ("fusion_fcn", "unet"),
    steps: int = 3000,
    seed: int = 0,
    weights: Mapping[str, float] | None = None,
    scales: float | Sequence[float] = (0.67, 0.8, 1.25, 1.5),
    test_time_augmentation: bool = False,
    adapt_steps: int = 0,
    **settings: Any,
) -> str:
    """Train on all sets but one and score the one left out, for each of several sets in turn.

    Each training is that of `train_shipped.json` with fewer steps. The threshold is 0.5, so nothing is known of the
    tissue left out; one chosen on the sets that were trained on does worse, since what scores mean differs from tissue
    to tissue. It is scored twice: on its training and validation parts together, for choosing among recipes, and on its
    test part, which no choice may be made with. Of a set without a test part, all is both. A training or score that is
    finished is not repeated.

    Args:
        *data: folders of at least three sets with a `datalist.json`; those that are never left out, such as synthetic
            tissue, too.
        left_out: names (of the folders) of the sets to leave out in turn, separated by commas.
        output: where to write, without suffix: `output.json`, `output.md`, and `output_<set>.jpg`, the results on the
            test sections with the median and the lowest Jaccard. See `draw_examples`.
        runs: folder for the trainings.
        networks: "fusion_fcn", "unet" or both.
        steps: of each training, with 4 patches in a step; a multiple of 5, the number of epochs.
        seed: of the trainings.
        weights: how often sets are drawn, by name; 1 where nothing is said.
        scales: factors by which the sections are shown too large or too small, as if their pixel size were not well
            known; scored on the training and validation parts.
        test_time_augmentation: whether to score with it too, at six times the cost.
        adapt_steps: score too what comes of the weights by so many steps of `adapt` on the sections left out, test part
            and all, without their labels; a multiple of 5, 0 for none.
        **settings: further settings of `train.json`.

    Returns:
        A table in Markdown.

    Raises:
        ValueError: an argument is out of its range, a set to leave out is not among the data, or another set has
            sections of it.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    names, networks = _as_tuple(left_out), _as_tuple(networks)
    scales = tuple(scales) if isinstance(scales, list | tuple) else (scales,)
    reject_overrides(
        settings, "epochs", "batch_size", "datalist", "resume", "use_crf", "patches_per_epoch", "pixel_size"
    )
    folders = _check(data, names, networks, weights or {}, (steps, adapt_steps or steps), scales)
    runs_dir = Path(runs).resolve()
    require_writable(Path(output).parent, runs_dir)
    parts = _read_lists(folders, names if scales else ())
    _refuse_seen(parts, names)
    results: dict[str, dict] = {network: {} for network in networks}
    for name in names:
        rest = [folder for other, folder in folders.items() if other != name]
        share = [(weights or {}).get(folder.name, 1) for folder in rest]
        joint = runs_dir / name / "joint"
        combine(*(str(folder / "datalist.json") for folder in rest), output=str(joint), weights=share)
        evaluations = []
        for network in networks:
            folder = runs_dir / name / network
            more = {"scales": scales, "augmented": test_time_augmentation, "adapt_steps": adapt_steps}
            results[network][name] = _fold(
                network, folder, joint, folders[name], parts[name], steps=steps, seed=seed, settings=settings, **more
            )
            evaluations += [folder / "test", *([folder / "test_adapted"] if adapt_steps else [])]
        draw_examples(runs_dir / name / "lists" / "test" / "datalist.json", evaluations, Path(f"{output}_{name}.jpg"))
    figures = {
        "sets": list(folders),
        "datalists_sha256": {name: sha256_of(folder / "datalist.json") for name, folder in folders.items()},
        "weights": dict(weights or {}),
        "steps": steps,
        "patches_per_step": BATCH,
        "adapt_steps": adapt_steps,
        "seed": seed,
        "settings": {key: value for key, value in settings.items() if key != "init_checkpoint"},
        "init_checkpoint_sha256": sha256_of(Path(initial)) if (initial := settings.get("init_checkpoint")) else None,
        "machine": hardware(),
        "results": results,
    }
    write_json(f"{output}.json", figures)
    table = markdown(figures)
    write_text(f"{output}.md", table + "\n")
    return table


def markdown(figures: Mapping[str, Any]) -> str:
    """Set the figures of the command as a table.

    Args:
        figures: content of its JSON file.

    Returns:
        Markdown: Jaccard over all pixels of each set when it was left out, without CRF.
    """
    results = figures["results"]
    names = list(next(iter(results.values())))
    scales = sorted({scale for fold in results.values() for r in fold.values() for scale in r["scales"]}, key=float)
    lines = [
        "| network, scored on | " + " | ".join(names) + " | mean |",
        "| --- |" + " --- |" * (len(names) + 1),
    ]
    for network, fold in results.items():
        rows = {part: [fold[name][part]["jaccard"] for name in names] for part in ("test", "development")}
        if all("augmented" in fold[name] for name in names):
            for part in ("test", "development"):
                rows[f"{part}, with test-time augmentation"] = [fold[name]["augmented"][part] for name in names]
        if all("adapted" in fold[name] for name in names):
            for part in ("test", "development"):
                rows[f"{part}, adapted without labels"] = [fold[name]["adapted"][part] for name in names]
        rows |= {f"shown {scale} times as large": [fold[name]["scales"][scale] for name in names] for scale in scales}
        for title, values in rows.items():
            known = [value for value in values if value is not None]
            entries = [as_entry(value) for value in (*values, float(np.mean(known)) if known else None)]
            lines.append(f"| {network}, {title} | " + " | ".join(entries) + " |")
    return "\n".join(lines) + (
        f"\n\nJaccard over all pixels of a set that was not trained on; `development` are its training and validation"
        f" parts, `test` its test part or, without one, all of it. {figures['steps']} steps of"
        f" {figures['patches_per_step']} patches, seed {figures['seed']}, {figures['machine']}."
    )


def _check(
    data: Sequence[str],
    names: Sequence[str],
    networks: Sequence[str],
    weights: Mapping[str, float],
    steps: Sequence[int],
    scales: Sequence[float],
) -> dict[str, Path]:
    """Refuse arguments that are out of their range; give the folders of the sets by their names."""
    folders = {folder.name: folder for folder in check_sets(*data)}
    for name in (*names, *weights):
        if name not in folders:
            raise ValueError(f"there is no set {name!r} among {', '.join(folders)}")
    for network in networks:
        if network not in NETWORKS:
            raise ValueError(f"networks must be of {', '.join(NETWORKS)}, but got {network!r}")
    for count in steps:
        check_steps(count)
    if not all(isinstance(scale, int | float) and scale > 0 for scale in scales):
        raise ValueError(f"scales must hold factors above 0, but got {scales}")
    if len(folders) < 3 or not names:
        raise ValueError(
            "leave_one_out needs at least three sets, two of them to train on, and one to leave out, but got "
            f"{len(folders)} sets and {', '.join(names) or 'none'} to leave out"
        )
    set_weights([weights.get(name, 1) for name in folders], [folder / "datalist.json" for folder in folders.values()])
    return folders


def _read_lists(folders: Mapping[str, Path], scaled: Sequence[str]) -> dict[str, dict[str, list[dict]]]:
    """Read the lists of the sets by part; those that will be shown at other scales need a pixel size."""
    parts = {name: read_parts(folder / "datalist.json") for name, folder in folders.items()}
    for name, folder in folders.items():
        check_set(folder, *(part for part, items in parts[name].items() if items))
    for name in scaled:
        if any(item.get("pixel_size_nm") is None for item in parts[name]["training"] + parts[name]["validation"]):
            raise ValueError(
                f"{folders[name] / 'datalist.json'}: pixel_size_nm must be stated for the scales, but got none; "
                "state it, or leave the scales out by --scales []"
            )
    return parts


def _refuse_seen(parts: Mapping[str, Mapping[str, list[dict]]], names: Sequence[str]) -> None:
    """Refuse a set to leave out of which another one would be trained on."""
    for name in names:
        left_out = [item for items in parts[name].values() for item in items]
        for other, rest in parts.items():
            if other != name:
                refuse_overlap(
                    rest["training"] + rest["validation"], left_out, f"training by {other}", f"test by {name}"
                )


def _fold(
    network: str,
    folder: Path,
    joint: Path,
    left_out: Path,
    parts: dict[str, list[dict]],
    *,
    steps: int,
    seed: int,
    scales: Sequence[float],
    augmented: bool,
    adapt_steps: int,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Train on the joint list and score the parts of the set that was left out."""
    record = train(
        *config_names(network, "train_shipped"),
        folder=folder,
        epochs=EPOCHS,
        dataset_dir=str(joint),
        seed=seed,
        batch_size=BATCH,
        patches_per_epoch=steps * BATCH // EPOCHS,
        val_interval=EPOCHS,  # the last weights, without a choice
        **settings,
    )
    done = folder / "scores.json"
    scores = json.loads(done.read_text()) if done.is_file() else {"threshold": THRESHOLD, "scales": {}}
    # with `train_shipped` the windows are as large as the patches of the training
    configs = config_names(network, "train_shipped", "evaluate", base="inference")
    evaluation = settings_for(*configs, **settings)
    lists = folder.parent / "lists"

    def jaccard(items: list[dict], part: str, weights: Path = folder / "model.pt", **how: bool) -> dict[str, float]:
        write_list({"name": left_out.name, "test": items}, lists / part)
        out = folder / part
        run(
            *configs,
            run_id="evaluating",
            dataset_dir=str(lists / part),
            output_dir=str(out),
            threshold_without_crf=scores["threshold"],
            use_crf=False,
            **{**evaluation, "checkpoint": str(weights)},
            **how,
        )
        return json.loads((out / "jaccard.json").read_text())["without_crf"]

    adapted = scores.get("adapted", {"steps": adapt_steps})
    if adapt_steps and adapted.get("steps") != adapt_steps:
        raise ValueError(
            f"{done}: these weights were adapted by {adapted.get('steps')} steps, not {adapt_steps}; choose another "
            "folder for runs"
        )
    if adapt_steps and not {"test", "development"} <= adapted.keys():
        fitted = _adapted(folder, left_out, adapt_steps, seed, settings)
    development = parts["training"] + parts["validation"]
    for part, items in (("test", parts["test"] or parts["training"]), ("development", development)):
        if part not in scores:
            scores[part] = jaccard(items, part)
            write_json(done, scores)
        if augmented and part not in scores.get("augmented", {}):
            found = jaccard(items, f"{part}_augmented", test_time_augmentation=True)["jaccard"]
            scores.setdefault("augmented", {})[part] = found
            write_json(done, scores)
        if adapt_steps and part not in adapted:
            adapted[part] = jaccard(items, f"{part}_adapted", fitted)["jaccard"]
            scores["adapted"] = adapted
            write_json(done, scores)
    for scale in scales:
        if f"{scale:g}" not in scores["scales"]:
            shown = [{**item, "pixel_size_nm": [scale * v for v in item["pixel_size_nm"]]} for item in development]
            scores["scales"][f"{scale:g}"] = jaccard(shown, f"scale_{scale:g}")["jaccard"]
            write_json(done, scores)
    return {**{key: record[key] for key in ("commit", "machine", "date", "seconds")}, **scores}


def _adapted(folder: Path, left_out: Path, steps: int, seed: int, settings: Mapping[str, Any]) -> Path:
    """Fit the weights of a training to the sections that were left out, without looking at their labels."""
    own = {key: value for key, value in settings.items() if key not in (*MADE_HERE, "learning_rate")}
    made = folder / "adapted"
    adapt(
        str(left_out / "datalist.json"),
        output=str(made),
        checkpoint=str(folder / "model.pt"),
        steps=steps,
        seed=seed,
        **own,
    )
    return made / "model.pt"


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(names.split(",")) if isinstance(names, str) else tuple(names)
