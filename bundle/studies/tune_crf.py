"""Choosing the parameters of the CRF on validation data."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bundle.data.combine import check_choice, check_set
from bundle.runs import ROOT, ScoredSection, config_names, reject_overrides, score, settings_of_weights
from scripts.crf import dense_crf
from scripts.io import require_writable, write_json
from scripts.weights import read_record, record_path, sha256_of

__all__ = ["best_threshold", "jaccard_by_threshold", "score_counts", "search", "tune_crf"]

RANGES = {
    "gaussian_sxy": (1.0, 8.0),
    "gaussian_compat": (0.1, 5.0),
    "bilateral_sxy": (3.0, 60.0),
    "bilateral_srgb": (5.0, 60.0),
    "bilateral_compat": (0.1, 5.0),
}
"""What is searched, evenly on a logarithmic scale: widths from a pixel or grey level to the size of a mitochondrion."""

WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

BINS = 100
"""Thresholds are hundredths."""


def tune_crf(
    checkpoint: str,
    data: str,
    network: str = "fusion_fcn",
    n_trials: int = 40,
    seed: int = 0,
    output: str | None = None,
    write: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Search the parameters of the CRF that give the best Jaccard on the validation part of a set.

    A random search (Bergstra and Bengio, JMLR 2012) over `RANGES`, with the present values of the weights as its first
    trial. Each trial is judged at its best threshold, and so are the probabilities without a CRF. The test part is not
    looked at.

    Args:
        checkpoint: weights of the network.
        data: folder with a `datalist.json` that has a `validation` part.
        network: "fusion_fcn" or "unet", for weights without a record.
        n_trials: how many sets of parameters are tried.
        seed: of the search.
        output: file for all trials, as JSON.
        write: whether to write the best parameters and thresholds into the record beside the weights, which inference
            and evaluation read. Nothing is written if no trial gains anything.
        **settings: further settings of the evaluation's config, such as `width` or `equalize`.

    Returns:
        "without_crf" and "with_crf", each with `jaccard` and `threshold`, the latter with `parameters` too; "written",
        the record if it was changed.

    Raises:
        ValueError: an argument is out of its range.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be written.
    """
    if not isinstance(n_trials, int) or n_trials < 1:
        raise ValueError(f"n_trials must be a whole number from 1, but got {n_trials!r}")
    configs = config_names(network, "evaluate", base="inference")
    reject_overrides(settings, "use_crf", "crf", "output_dir", "dataset_dir")
    folder = check_set(data, "validation")
    check_choice(folder)
    if output is not None:
        require_writable(Path(output).parent)
    sections = score(*configs, part="validation", checkpoint=checkpoint, dataset_dir=str(folder), **settings)
    known = settings_of_weights(checkpoint, network, settings)
    found = search(sections, n_trials, seed, known["crf"], settings.get("crf_method"))
    summary = {key: found[key] for key in ("without_crf", "with_crf")}
    if output is not None:
        write_json(output, {"checkpoint": checkpoint, "data": data, "seed": seed, **found})
    summary["written"] = None
    if write and found["with_crf"]["jaccard"] > found["without_crf"]["jaccard"]:
        record = read_record(checkpoint) or {"sha256": sha256_of(checkpoint)}
        record["settings"] = {
            **known,
            "threshold": found["with_crf"]["threshold"],
            "threshold_without_crf": found["without_crf"]["threshold"],
            "crf": found["with_crf"]["parameters"],
        }
        write_json(record_path(checkpoint), record)
        summary["written"] = str(record_path(checkpoint))
    return summary


def search(
    sections: Sequence[ScoredSection], n_trials: int, seed: int, first: Mapping[str, Any], method: str | None = None
) -> dict[str, Any]:
    """Try sets of parameters.

    Args:
        sections: labelled sections with their probabilities.
        n_trials: number of sets, at least 1.
        seed: of the search.
        first: the first set, whose number of iterations serves all.
        method: of the CRF; that of `inference.json` if None.

    Returns:
        "without_crf", "with_crf" (the best trial) and "trials", all trials in their order.
    """
    config = json.loads((ROOT / "configs" / "inference.json").read_text())
    generator = np.random.default_rng(seed)
    candidates = [dict(first)]
    for _ in range(n_trials - 1):
        drawn = {n: float(f"{np.exp(generator.uniform(*np.log(edges))):.2g}") for n, edges in RANGES.items()}
        candidates.append({**first, **drawn})
    counts = list(
        tqdm(_counts(sections, method or config["crf_method"], candidates), "CRF", len(candidates), unit="trial")
    )
    without = best_threshold(sum(score_counts(s.mitochondria, s.label) for s in sections))
    results = [{**best_threshold(count), "parameters": p} for count, p in zip(counts, candidates, strict=True)]
    return {"without_crf": without, "with_crf": max(results, key=lambda r: r["jaccard"]), "trials": results}


def best_threshold(*counts: np.ndarray) -> dict[str, float]:
    """Choose the threshold with the highest Jaccard index, or with the highest mean of it over several sets.

    Args:
        *counts: of each set, as `score_counts` gives them.

    Returns:
        `jaccard` and `threshold`; of equally good ones the one closest to one half.
    """
    thresholds = np.arange(BINS) / BINS
    jaccard = np.mean([jaccard_by_threshold(count) for count in counts], axis=0)
    best = np.lexsort((abs(thresholds - 0.5), -jaccard))[0]
    return {"jaccard": round(float(jaccard[best]), 4), "threshold": float(thresholds[best])}


def jaccard_by_threshold(counts: np.ndarray) -> np.ndarray:
    """Compute the Jaccard index at each threshold.

    Args:
        counts: (2, `BINS`), as `score_counts` gives them.

    Returns:
        (`BINS`,), that of the pixels above the lower edge of each bin; 0 for the first, which takes all.
    """
    false, true = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    jaccard = true / np.maximum(1, counts[1].sum() + false)
    jaccard[0] = 0
    return jaccard


def score_counts(score: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Count pixels by probability, for `best_threshold`.

    Args:
        score: probabilities of mitochondrion in [0, 1], of any shape.
        label: bool, of the same shape.

    Returns:
        (2, `BINS`) pixels of background and of mitochondria.
    """
    bins = np.minimum((score * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(bins[label == kind], minlength=BINS) for kind in (False, True)])


def _counts(
    sections: Sequence[ScoredSection], method: str, candidates: Sequence[dict[str, Any]]
) -> Iterator[np.ndarray]:
    if method != "permutohedral":  # has threads of its own
        yield from (_counts_of(sections, method, parameters) for parameters in candidates)
        return
    # pydensecrf2 holds Python's lock, so that only processes run side by side; forked ones could deadlock in torch
    with ProcessPoolExecutor(
        min(len(candidates), WORKERS),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(list(sections), method),
    ) as pool:
        yield from pool.map(_counts_in_process, candidates)


def _counts_of(sections: Sequence[ScoredSection], method: str, parameters: dict[str, Any]) -> np.ndarray:
    refined = (
        (s.in_tissue(dense_crf(s.probabilities, s.image, **parameters, method=method)), s.label) for s in sections
    )
    return sum(score_counts(score, label) for score, label in refined)


_sections: list[ScoredSection] = []
_method = ""


def _start(sections: list[ScoredSection], method: str) -> None:
    global _method
    _sections[:] = sections
    _method = method
    torch.set_num_threads(1)  # there is a process for each core


def _counts_in_process(parameters: dict[str, Any]) -> np.ndarray:
    return _counts_of(_sections, _method, parameters)
