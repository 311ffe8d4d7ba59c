"""Weights of two networks as those of their ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from bundle.data.combine import check_choice, check_sets
from bundle.release.average import count_scores, judge
from bundle.release.publish import CHECK, halve, mean_logit
from bundle.runs import config_names, hardware, reject_overrides, settings_of_weights
from scripts.handlers.loading import read_weights
from scripts.io import require_writable
from scripts.networks.ensemble import UNET_WIDTH, Ensemble
from scripts.weights import git_revision, read_record, record_path, save_weights, sha256_of

__all__ = ["ensemble"]

MADE_HERE = ("use_crf", "output_dir", "dataset_dir", "part", "checkpoint", "network_class", "width")
"""Settings of the evaluation that are no user's."""

ORIGINS = ("seed", "commit", "date", "average")
"""Of the record of each network."""

SHARED = ("downsampling", "network_pixel_size", "equalize", "equalize_clip")
"""Settings in which two networks that look at the same sections have to agree."""


def ensemble(
    *data: str,
    fusion_fcn: str,
    unet: str,
    output: str,
    part: str = "validation",
    threshold: float | None = None,
    **settings: Any,
) -> str:
    """Join weights of a Fusion FCN and of a U-Net into those of their ensemble, see `scripts.networks.Ensemble`.

    The threshold is the one that is best for the sets together, or the one that is given. The parameters of the CRF
    and the threshold with it are those of the Fusion FCN until `python -m bundle tune_crf --write` chooses others. The
    weights are written in half precision, and what is said of them is measured with these. The test parts are not
    looked at.

    Args:
        *data: folders of sets with a `datalist.json` that has the part; none if the threshold is given.
        fusion_fcn: weights of the Fusion FCN.
        unet: weights of the U-Net, of half the width.
        output: where to write, without suffix: `output.pt` with its record `output.json`.
        part: of the sets that the threshold is chosen on.
        threshold: of the probability, in (0, 1), with the CRF and without it.
        **settings: further settings of the evaluation's config.

    Returns:
        The Jaccard index of each set without the CRF, the threshold, and where the weights are.

    Raises:
        ValueError: an argument is out of its range, the two networks do not fit together, or a weight does not fit into
            half precision.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    reject_overrides(settings, *MADE_HERE)
    folders = _sets_of_choice(data, part, threshold, settings)
    target = Path(f"{output}.pt")
    require_writable(target.parent)
    members = {"fusion_fcn": fusion_fcn, "unet": unet}
    known = {name: settings_of_weights(path, name) for name, path in members.items()}
    _require_pair(members, known)
    read = {f"{name}.{key}": value for name, path in members.items() for key, value in read_weights(path).items()}
    weights = halve(read)
    records = {name: read_record(path) for name, path in members.items()}
    needed = known["fusion_fcn"] | {
        "network_class": f"scripts.networks.{Ensemble.__name__}",
        "overlap": max(one["overlap"] for one in known.values()),
    }
    if folders:
        configs = config_names("fusion_fcn", "evaluate", base="inference")
        found = judge(count_scores(configs, weights, needed, folders, part=part, **settings))
        measured, thresholds = {part: found}, {"threshold_without_crf": found["threshold"]}
    else:
        measured, thresholds = {}, dict.fromkeys(("threshold", "threshold_without_crf"), threshold)
    record = {
        "settings": needed | thresholds,
        "precision": "float16",
        "training_data": {
            name: terms for one in records.values() for name, terms in one.get("training_data", {}).items()
        },
        **{"commit": git_revision(), "date": str(date.today()), "machine": hardware()},
        "ensemble": {name: _origin(path, records[name]) for name, path in members.items()},
        **measured,
        "check": {"input": CHECK, "mean_logit": mean_logit(_network(weights, needed))},
    }
    save_weights(weights, target, record)
    return f"{_scores(measured)}Weights: {target}, record: {record_path(target)}"


def _sets_of_choice(data: Sequence[str], part: str, threshold: float | None, settings: Mapping[str, Any]) -> list[Path]:
    """Check that a threshold can be chosen, or is given; give the sets to choose it on."""
    if threshold is None:
        folders = check_sets(*data, part=part)
        for folder in folders:
            check_choice(folder, part)
        return folders
    if data or settings:
        raise ValueError(f"nothing is scored with a given threshold, so {[*data, *settings]} are of no use")
    if not isinstance(threshold, float) or not 0 < threshold < 1:
        raise ValueError(f"threshold must lie between 0 and 1, but got {threshold!r}")
    return []


def _scores(measured: Mapping[str, Mapping[str, Any]]) -> str:
    return "".join(
        f"Jaccard over all pixels of the {part} parts, without CRF, threshold {found['threshold']:.2f}\n"
        + "".join(f"{name}: {score:.3f}\n" for name, score in found["jaccard"].items())
        for part, found in measured.items()
    )


def _origin(path: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Say where weights come from, as far as their record does."""
    return {"file": path, "sha256": sha256_of(path), **{key: record[key] for key in ORIGINS if key in record}}


def _network(weights: Mapping[str, torch.Tensor], needed: Mapping[str, Any]) -> Ensemble:
    network = Ensemble(**{key: needed[key] for key in ("width", "dropout", "downsampling")})
    network.load_state_dict(weights)
    return network.eval()


def _require_pair(members: Mapping[str, str], known: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse networks of other kinds or widths than `Ensemble` has, or that see sections in different ways."""
    for name, wanted in (("fusion_fcn", "FusionFCN"), ("unet", "UNet")):
        found = known[name]["network_class"].split(".")[-1]
        if found != wanted:
            raise ValueError(f"{members[name]}: {name} must be weights of a {wanted}, but got those of a {found}")
    first, second = known["fusion_fcn"], known["unet"]
    if second["width"] != UNET_WIDTH * first["width"]:
        raise ValueError(
            f"{members['unet']}: the U-Net must have half the width of the Fusion FCN, {first['width']:g}, but has "
            f"{second['width']:g}"
        )
    for key in SHARED:
        if first[key] != second[key]:
            raise ValueError(
                f"{members['unet']}: must see sections as {members['fusion_fcn']} does, but has {key} = "
                f"{second[key]!r}, not {first[key]!r}"
            )
