"""Weights that are fitted to a tissue without a label of it, by self-training."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, inf, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.morphology import remove_small_objects
from tqdm import tqdm

from bundle.data.fetch import write_list
from bundle.data.folders import check_arguments, filled
from bundle.data.pixel_size import spread
from bundle.runs import prepare, reject_overrides, settings_for, settings_of_weights, train
from bundle.studies.finetune import BATCH, EPOCHS, check_steps
from scripts.figures import overlay, save_picture
from scripts.handlers import load_weights
from scripts.handlers.loading import read_weights
from scripts.io import Section, find_sections, load_sections, read_label, read_list, require_writable, write_section
from scripts.transforms import CropRegiond
from scripts.weights import read_record, save_weights, sha256_of

__all__ = ["MADE_HERE", "Region", "adapt", "pseudo_label"]

SIDE = 512
"""Of a region in pixels of the network, at most."""

PLACES = 8
"""That are tried for a region, of which the one with most tissue is taken."""

UNKNOWN = 128
"""In the labels."""

SQUARE_MICROMETRE = 1e6
"""In square nanometres."""

SCALES = (0.8, 1.25)
"""At which the training shows patches: those of one stack have one pixel size."""

THRESHOLD = 0.5
"""Of the new weights: what they were taught is cut at the threshold of the old ones."""

SHOWN = 4
"""Regions in the picture, at most."""

MADE_HERE = (
    *("dataset_dir", "datalist", "ckpt_dir", "init_checkpoint", "resume", "use_crf", "equalize", "equalize_clip"),
    *("epochs", "batch_size", "patches_per_epoch", "val_interval"),
)
"""Settings of the training that are no user's."""

RECORD = "adapt"
"""In the list of the regions: what they were made of."""

OF_ITSELF = ("best_epoch", "validation_jaccard")
"""In the record of the training: how well the network agrees with its own labels, which says nothing of the truth."""


@dataclass(frozen=True)
class Region:
    """A part of a section, as the network sees it.

    Attributes:
        image: grey levels as they were equalised over the whole section, float32 (width, height) in [0, 1].
        tissue: bool (width, height).
        probability: of mitochondrion, float32 (width, height).
        pixel_size: nanometres (x, y).
    """

    image: NDArray[np.float32]
    tissue: NDArray[np.bool_]
    probability: NDArray[np.float32]
    pixel_size: tuple[float, float]


def adapt(
    sections: str,
    output: str,
    checkpoint: str = "models/model.pt",
    teacher: str | None = None,
    pixel_size: float | None = None,
    channel: int | None = None,
    regions: int = 16,
    min_area: float = 0.01,
    steps: int = 300,
    learning_rate: float = 5e-4,
    seed: int = 0,
    **settings: Any,
) -> str:
    """Fit weights to sections that nobody labelled, so that they find more of the mitochondria in this very tissue.

    The network labels regions of the sections itself, by the mean of several views of each, and is trained on what it
    finds (self-training; pseudo-labels after Lee, "Pseudo-Label: the simple and efficient semi-supervised learning
    method for deep neural networks", ICML workshop 2013). Patches that are scaled, turned and changed in grey are
    what it has to say the same of. What it takes for mitochondria by mistake it may learn as well: look at the picture.
    A run that was interrupted is gone on with, and one that is finished is not repeated.

    Args:
        sections: folder, glob pattern, file or list of sections, as `--dataset_dir` of the inference.
        output: folder for the new weights `model.pt` with their record `model.json`, the picture `before_after.jpg`,
            and what they were trained on.
        checkpoint: weights to begin with.
        teacher: other weights, which label the regions, such as those of a larger network or an ensemble; those to
            begin with if None.
        pixel_size: of the sections in nanometres, where they do not state it.
        channel: which to read where files have several, from 0.
        regions: about how many to train on, of 512 pixels of the network a side, spread evenly over the sections.
        min_area: of a mitochondrion in square micrometres: what is found and smaller (0.01 is a disc 113 nm wide) is
            learnt as background.
        steps: of the training, with 4 patches in a step; a multiple of 5.
        learning_rate: at its start.
        seed: of the regions and the trainings.
        **settings: further settings of `train.json`.

    Returns:
        How much is found before and after, and the command to segment with the new weights.

    Raises:
        FileExistsError: the folder holds something else, or what was made with other arguments.
        ValueError: an argument is out of its range, a section is damaged, or nothing is found in the regions.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    check_arguments(output, {"regions": (regions, 1), "seed": (seed, 0)}, {})
    check_steps(steps)
    if isinstance(min_area, bool) or not isinstance(min_area, int | float) or not 0 <= min_area < inf:
        raise ValueError(f"min_area must be a number of square micrometres from 0 on, but got {min_area!r}")
    reject_overrides(settings, *MADE_HERE)
    found = find_sections(sections, channel, results=False)
    chosen = spread(found, regions)
    folder, weights = Path(output).resolve(), Path(checkpoint).resolve()
    labelling = weights if teacher is None else Path(teacher).resolve()
    for file in (weights, labelling):
        settings_of_weights(file)  # before minutes are spent
    how = {
        "sections": [[section.path, section.page] for section in chosen],
        "checkpoint_sha256": sha256_of(weights),
        **({} if teacher is None else {"teacher_sha256": sha256_of(labelling)}),
        "arguments": {
            **{"pixel_size": pixel_size, "channel": channel, "regions": regions, "steps": steps},
            **{"min_area": min_area, "learning_rate": learning_rate, "seed": seed, "settings": settings},
        },
    }
    _require_same(folder, how)
    score = partial(_scored, chosen, ceil(regions / len(chosen)), pixel_size, seed, settings)
    if not (folder / "data").is_dir():
        with filled(folder / "data") as made:
            threshold = settings_of_weights(labelling)["threshold_without_crf"]
            stated = {"name": _name(sections), RECORD: how}
            _write_labels(score(labelling, "labelling", augmented=True), threshold, min_area, made, stated)
    adapted = folder / "model.pt"
    if not adapted.is_file():
        _train(folder, weights, labelling, learning_rate=learning_rate, seed=seed, steps=steps, **settings)
    shares = _compare(folder / "data", score(adapted, "comparing"), folder / "before_after.jpg")
    command = ["python", "-m", "monai.bundle", "run", "inference", "--config_file", "configs/inference.json"]
    command += ["--dataset_dir", sections, "--checkpoint", str(Path(output) / "model.pt")]
    for key, value in (("pixel_size", pixel_size), ("channel", channel)):
        command += [] if value is None else [f"--{key}", str(value)]
    return (
        f"mitochondria, share of the area: {shares[0]:.1%} before, {shares[1]:.1%} after\n"
        f"look at {Path(output) / 'before_after.jpg'}: found by both in green, before only in blue, after only in "
        f"vermilion\nnext: {shlex.join(command)}"
    )


def pseudo_label(
    probability: NDArray[np.float32], tissue: NDArray[np.bool_], threshold: float, min_area: float = 0
) -> NDArray[np.uint8]:
    """Label what a network finds.

    Args:
        probability: of mitochondrion, (width, height).
        tissue: bool, of the same shape.
        threshold: from which on it is a mitochondrion.
        min_area: in pixels; what is smaller is background.

    Returns:
        uint8 of the same shape: 255 in mitochondria, 0 in background, `UNKNOWN` outside of the tissue.
    """
    found = remove_small_objects(probability >= threshold, max_size=ceil(min_area) - 1)
    label = np.where(found, np.uint8(255), np.uint8(0))
    label[~tissue] = UNKNOWN
    return label


def _name(sections: str) -> str:
    """Name the tissue by its folder."""
    source = Path(sections).absolute()
    return source.name if source.is_dir() else source.parent.name


def _require_same(folder: Path, how: Mapping[str, Any]) -> None:
    """Refuse a folder with something else in it, before anything is written."""
    datalist = folder / "data" / "datalist.json"
    if datalist.is_file():
        if read_list(datalist).get(RECORD) != json.loads(json.dumps(how)):
            raise FileExistsError(f"{folder} was made with other arguments; choose another --output")
    elif folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise FileExistsError(f"{folder} holds something else; choose another --output")
    require_writable(folder)


def _scored(
    sections: Sequence[Section],
    count: int,
    pixel_size: float | None,
    seed: int,
    settings: Mapping[str, Any],
    weights: Path,
    title: str,
    augmented: bool = False,
) -> Iterator[Region]:
    """Let weights score regions of each section, as many as have place in it, by one view or the mean of several."""
    own = settings_for("inference", **settings)
    own.pop("patch_size", None)  # of the training; the inference has its own windows
    workflow = prepare(
        "inference",
        run_id="run",
        **{
            "sections": [dict(section) for section in sections],
            "pending": "@sections",
            "checks": [
                "$scripts.config.check_settings(@record)",
                "$scripts.io.check_pixel_sizes(@sections, @pixel_size, @network_pixel_size)",
                "$scripts.io.check_sections(@pending, leave_out_constant=True)",
            ],
            **{"checkpoint": str(weights), "pixel_size": pixel_size, "test_time_augmentation": augmented, **own},
        },
    )
    get = workflow.parser.get_parsed_content
    get("checks")
    network, device, inferer, preprocess = (get(key) for key in ("network", "device", "inferer", "preprocessing"))
    load_weights(network, weights)
    network.eval()
    generator = np.random.default_rng(seed)
    keys = ["image", "tissue"]
    with_margin = CropRegiond(keys, margin=get("patch_size") // 2, margin_pixel_size=inferer.pixel_size)
    for item in tqdm(get("pending"), desc=title, unit="section"):
        section = preprocess(dict(item))
        size = np.array(section["image"].meta["pixel_size"], dtype=float)
        side = np.minimum(np.ceil(SIDE * inferer.pixel_size / size).astype(int), section["image"].shape[1:])
        tissue = section["tissue"][0].numpy() > 0
        for _ in range(min(count, tissue.size // int(side.prod()))):
            seen = with_margin({**section, "region": _place(tissue, side, generator)})
            with torch.inference_mode():
                seen["probability"] = inferer(seen["image"][None].to(device), network)[0].cpu()
            region = CropRegiond([*keys, "probability"])(seen)
            image, inside, probability = (region[key][0].numpy() for key in (*keys, "probability"))
            yield Region(np.asarray(image), inside > 0, probability * (inside > 0), tuple(size.tolist()))


def _place(tissue: NDArray[np.bool_], side: NDArray[np.int_], generator: np.random.Generator) -> list[int]:
    """Draw places for a region in a section; give the one with most tissue, as left, top, right and bottom."""
    best, most = [0, 0, *side.tolist()], -1
    for _ in range(PLACES):
        start = [int(generator.integers(0, free + 1)) for free in np.array(tissue.shape) - side]
        end = [first + int(length) for first, length in zip(start, side, strict=True)]
        count = int(tissue[start[0] : end[0], start[1] : end[1]].sum())
        if count > most:
            best, most = [*start, *end], count
    return best


def _write_labels(
    scored: Iterator[Region], threshold: float, min_area: float, folder: Path, stated: Mapping[str, Any]
) -> None:
    """Write regions and what the network says of them as a set to train on."""
    items, positive = [], False
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for number, region in enumerate(scored):
        pixels = min_area * SQUARE_MICROMETRE / prod(region.pixel_size)
        label = pseudo_label(region.probability, region.tissue, threshold, pixels)
        positive |= bool((label == 255).any())
        item = {"image": f"images/{number:04d}.png", "label": f"labels/{number:04d}.png"}
        write_section(folder / item["image"], np.rint(region.image * 65535).astype(np.uint16))
        write_section(folder / item["label"], label, result=True)
        items.append({**item, "pixel_size_nm": list(region.pixel_size)})
    if not positive:
        raise ValueError(
            f"{stated['name']}: no mitochondria are found in {len(items)} regions, so that there is nothing to learn "
            "from; check the pixel size (`python -m bundle pixel_size`), or label some sections and fine-tune"
        )
    write_list({**stated, "ignore_value": UNKNOWN, "training": items, "validation": items}, folder)


def _train(folder: Path, weights: Path, teacher: Path, steps: int, **settings: Any) -> None:
    """Train on the labels, and write the weights with a record of how sections have to be seen."""
    known = settings_of_weights(teacher)  # which saw the whole sections
    record = train(
        "train",
        "train_shipped",
        folder=folder / "run",
        epochs=EPOCHS,
        **{
            **{"dataset_dir": str(folder / "data"), "batch_size": BATCH, "val_interval": EPOCHS, "use_crf": False},
            # the regions were equalised with the whole of their sections
            **{"patches_per_epoch": steps * BATCH // EPOCHS, "equalize": "none", "equalize_clip": [0.0, 1.0]},
            **{"init_checkpoint": str(weights), "scale_range": list(SCALES), **settings},
        },
    )
    trained = folder / "run" / "model.pt"
    own = {key: known[key] for key in ("equalize", "equalize_clip")}
    thresholds = {"threshold": THRESHOLD, "threshold_without_crf": THRESHOLD}
    content = {key: value for key, value in read_record(trained).items() if key not in OF_ITSELF}
    content["settings"] = {**content["settings"], **own, **thresholds}
    if teacher != weights:
        content["teacher_sha256"] = sha256_of(teacher)
    content["training_data"] = {**read_record(teacher).get("training_data", {}), **content["training_data"]}
    note = "adapted without labels: python -m bundle adapt"
    save_weights(read_weights(trained), folder / "model.pt", {**content, "machine": record["machine"], "note": note})


def _compare(folder: Path, after: Iterator[Region], path: Path) -> list[float]:
    """Draw the first regions, and below them what is found before and after; give the share of the area in all."""
    columns, found, area = [], [0, 0], 0
    for item, region in zip(load_sections(folder / "datalist.json", "training"), after, strict=True):
        pair = [read_label(item, item["page"]) == 1, region.probability >= THRESHOLD]
        found = [total + int(mask.sum()) for total, mask in zip(found, pair, strict=True)]
        area += region.image.size
        if len(columns) < SHOWN:
            nothing = np.zeros_like(region.tissue)
            pictures = [overlay(region.image, nothing, nothing), overlay(region.image, *pair)]
            small = [Image.fromarray(picture.swapaxes(0, 1)).resize((SIDE, SIDE)) for picture in pictures]
            columns.append(np.concatenate([np.asarray(picture).swapaxes(0, 1) for picture in small], axis=1))
    save_picture(np.concatenate(columns, axis=0), path)
    return [count / area for count in found]
