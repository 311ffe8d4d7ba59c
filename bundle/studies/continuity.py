"""What neighbouring sections add to the masks of a stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label
from tqdm import tqdm

from bundle.data.combine import check_set
from bundle.runs import ScoredSection, config_names, hardware, reject_overrides, score, settings_of_weights
from scripts.crf import dense_crf
from scripts.instances import smooth_through, supported
from scripts.io import write_json
from scripts.metrics import jaccard
from scripts.weights import git_revision, sha256_of

__all__ = ["continuity"]


def continuity(
    *data: str,
    checkpoint: str,
    part: str = "test",
    smoothing: float = 0.25,
    network: str = "fusion_fcn",
    output: str | None = None,
    **settings: Any,
) -> str:
    """Compare the masks of stacks with and without `smoothing` and `require_support` of `run objects`.

    Args:
        *data: folders with a `datalist.json` whose sections follow each other in the stack, with regions of one size.
        checkpoint: weights; the CRF and the threshold are those of their record, unless settings say otherwise.
        part: of the lists.
        smoothing: weight of each neighbour; see `scripts.instances.smooth_through`.
        network: "fusion_fcn" or "unet", for weights without a record.
        output: JSON file for the figures.
        **settings: further settings of the evaluation's config.

    Returns:
        A table in Markdown: Jaccard over all pixels.

    Raises:
        ValueError: an argument is out of its range, or the sections of a list differ in size.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    if not data:
        raise ValueError("name the folder of at least one set")
    reject_overrides(settings, "use_crf", "output_dir", "dataset_dir")
    folders = [check_set(folder, part) for folder in data]
    record = settings_of_weights(checkpoint, network, settings)
    figures = {}
    for folder in folders:
        found = score(
            *config_names(network, "evaluate", base="inference"),
            part=part,
            dataset_dir=str(folder),
            checkpoint=checkpoint,
            **settings,
        )
        sizes = {section.label.shape for section in found}
        if len(sizes) > 1:
            raise ValueError(f"{folder}: sections must be of one size to lie over each other, but got {sorted(sizes)}")
        probabilities = [
            section.in_tissue(dense_crf(section.probabilities, section.image, **record["crf"]))
            for section in tqdm(found, desc=f"refining {folder.name}", unit="section")
        ]
        figures[folder.name] = {
            "sections": len(found),
            **_compare(found, probabilities, record["threshold"], smoothing),
        }
    if output is not None:
        write_json(
            output,
            {
                "checkpoint": checkpoint,
                "sha256": sha256_of(Path(checkpoint)),
                "commit": git_revision(),
                "machine": hardware(),
                "part": part,
                "threshold": record["threshold"],
                "smoothing": smoothing,
                "sets": figures,
            },
        )
    names = ["sections", "plain", "smoothing", "require_support", "both"]
    lines = ["| set | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for name, row in figures.items():
        cells = [str(row["sections"]), *(f"{row[key]:.3f}" for key in names[1:])]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def _compare(
    sections: list[ScoredSection], probabilities: list[NDArray[np.float32]], threshold: float, smoothing: float
) -> dict[str, float]:
    smooth = [
        smooth_through(one, neighbours, threshold, smoothing)
        for one, neighbours in zip(probabilities, _neighbours(probabilities), strict=True)
    ]
    plain, smooth = ([one >= threshold for one in many] for many in (probabilities, smooth))
    masks = {
        "plain": plain,
        "smoothing": smooth,
        "require_support": [_supported(*pair) for pair in zip(plain, _neighbours(plain), strict=True)],
        # the neighbours are those that `run objects` sees: not smoothed
        "both": [_supported(*pair) for pair in zip(smooth, _neighbours(plain), strict=True)],
    }
    return {name: _jaccard(found, sections) for name, found in masks.items()}


def _neighbours(stack: list[NDArray]) -> list[tuple[NDArray | None, NDArray | None]]:
    padded = [None, *stack, None]
    return list(zip(padded[:-2], padded[2:], strict=True))


def _supported(mask: NDArray[np.bool_], neighbours: tuple[NDArray | None, NDArray | None]) -> NDArray[np.bool_]:
    labels = label(mask, connectivity=1)
    return mask & supported(labels, neighbours)[labels]


def _jaccard(masks: list[NDArray[np.bool_]], sections: list[ScoredSection]) -> float:
    pairs = [(mask, section.label) for mask, section in zip(masks, sections, strict=True)]
    true = sum(int(np.count_nonzero(mask & truth)) for mask, truth in pairs)
    missed = sum(int(np.count_nonzero(truth & ~mask)) for mask, truth in pairs)
    false = sum(int(np.count_nonzero(mask & ~truth)) for mask, truth in pairs)
    return jaccard(true, missed, false)
