"""Running the bundle's own configs from a command."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser, ConfigWorkflow

from scripts.handlers import load_weights, unlock_trainings
from scripts.io import content_state, load_sections, write_json
from scripts.weights import default_settings, digest_of, git_revision, settings_of, sha256_of

__all__ = [
    "ROOT",
    "ScoredSection",
    "config_names",
    "hardware",
    "load_network",
    "prepare",
    "reject_overrides",
    "run",
    "score",
    "settings_for",
    "settings_of_weights",
    "train",
]

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
"""The bundle."""


@dataclass(frozen=True)
class ScoredSection:
    """A labelled section and what a network says of it.

    Attributes:
        image: the section as the network saw it, float32 (1, width, height) in [0, 1].
        label: bool (width, height).
        probabilities: float32 (1, width, height).
        tissue: bool (width, height), where there may be mitochondria.
    """

    image: np.ndarray
    label: np.ndarray
    probabilities: np.ndarray
    tissue: np.ndarray

    @property
    def mitochondria(self) -> np.ndarray:
        """Probabilities of mitochondrion, float32 (width, height), 0 outside of the tissue as in every result."""
        return self.in_tissue(self.probabilities)

    def in_tissue(self, probabilities: np.ndarray) -> np.ndarray:
        """Give the probabilities of mitochondrion of others, such as refined ones.

        Args:
            probabilities: (1, width, height).

        Returns:
            (width, height), 0 outside of the tissue.
        """
        return probabilities[0] * self.tissue


def prepare(*configs: str, run_id: str, **overrides: Any) -> ConfigWorkflow:
    """Parse configs and run their `initialize`.

    Args:
        *configs: names of files in `configs`, without suffix; later ones override earlier ones.
        run_id: which expressions of the configs are to be run, such as "training".
        **overrides: settings; `#` leads into nested ones.

    Returns:
        The workflow, ready to `run` and `finalize`.

    Raises:
        RuntimeError: from the configs, with the cause chained.
    """
    files = [str(ROOT / "configs" / f"{name}.json") for name in configs]
    workflow = ConfigWorkflow(
        files, workflow_type="train", run_id=run_id, bundle_root=str(ROOT), logging_file=False, **overrides
    )
    workflow.initialize()
    return workflow


def run(*configs: str, run_id: str, **overrides: Any) -> None:
    """Run configs as ``python -m monai.bundle run`` does. See `prepare`."""
    try:
        workflow = prepare(*configs, run_id=run_id, **overrides)
        workflow.run()
        workflow.finalize()
        del workflow
    finally:
        unlock_trainings()
    gc.collect()  # engines and handlers refer to each other, and would keep the cached sections of run after run


def score(*configs: str, part: str, **overrides: Any) -> list[ScoredSection]:
    """Let a network score the sections of a list.

    Args:
        *configs: as for `prepare`, an evaluation.
        part: which list, such as "validation".
        **overrides: settings, with `checkpoint` among them; not `use_crf`.

    Returns:
        The sections, in the order of the list.

    Raises:
        RuntimeError: from the configs, with the cause chained.
    """
    with tempfile.TemporaryDirectory() as output_dir:
        return _score(*configs, part=part, output_dir=output_dir, **overrides)


def _score(*configs: str, part: str, **overrides: Any) -> list[ScoredSection]:
    workflow = prepare(
        *configs,
        run_id="evaluating",
        **{
            "part": part,
            "use_crf": False,
            "within_tissue": False,  # a CRF that is tried comes before
            "handlers": [
                {"_target_": "scripts.handlers.LoadWeights", "network": "@network", "path": "@checkpoint"},
                {"_target_": "ignite.handlers.ProgressBar", "desc": f"scoring {part}"},
            ],
            **overrides,
        },
    )
    sections: list[ScoredSection] = []

    def collect(engine: Engine) -> None:
        for item, source in zip(engine.state.output, engine.state.batch, strict=True):
            tissue = source["tissue"][0].cpu().numpy() > 0
            image, label, probabilities = (item[key].float().cpu().numpy() for key in ("image", "label", "pred"))
            sections.append(ScoredSection(np.array(image), label[0] > 0, np.array(probabilities), tissue))

    workflow.parser.get_parsed_content("checks")
    evaluator = workflow.parser.get_parsed_content("evaluator")
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, collect)
    evaluator.run()
    return sections


def train(*configs: str, folder: Path, epochs: int, **settings: Any) -> dict[str, Any]:
    """Train, go on with a training that was interrupted, or leave one that is complete.

    Args:
        *configs: names of the configs.
        folder: of the training; `settings.json` in it says how it was begun.
        epochs: its number of epochs.
        **settings: overrides.

    Returns:
        What `settings.json` holds: the settings, with the hashes of the list of sections, of the state of its files
        and of the initial weights, the commit, the machine and, of a training that ran in one go, its seconds.

    Raises:
        ValueError: the folder holds a training with other settings, on files that have changed or from other weights.
        RuntimeError: from the configs, with the cause chained.
    """
    datalist = Path(settings.get("datalist", Path(settings["dataset_dir"]) / "datalist.json"))
    begun = {
        **{"configs": configs, "epochs": epochs, **settings, "datalist_sha256": sha256_of(datalist)},
        "sections_sha256": _state_of(datalist),
        "init_checkpoint_sha256": digest_of(settings.get("init_checkpoint")),
    }
    begun = json.loads(json.dumps(begun))
    path, checkpoint = folder / "settings.json", folder / "checkpoint.pt"
    resume = checkpoint.is_file()
    if resume and path.is_file():
        record = json.loads(path.read_text())
        for key in sorted(begun.keys() | record["settings"].keys()):
            was, now = record["settings"].get(key), begun.get(key)
            if key in ("sections_sha256", "init_checkpoint_sha256") and key not in record["settings"]:
                logger.warning("%s: is of version 0.10.1 or before and holds no %s to compare", path, key)
            elif was != now:
                raise ValueError(
                    f"{path}: this training has {key} = {was!r}, not {now!r}; choose another folder for runs"
                )
    elif resume:
        raise ValueError(f"{folder}: holds a training of unknown settings; choose another folder for runs")
    else:
        record = {
            "settings": begun,
            "commit": git_revision(),
            "machine": hardware(),
            "date": str(date.today()),
            "seconds": None,
        }
        write_json(path, record)
    if resume and torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"] >= epochs:
        return record
    start = time.monotonic()
    run(*configs, run_id="training", ckpt_dir=str(folder), epochs=epochs, resume=resume, **settings)
    if not resume:
        record["seconds"] = round(time.monotonic() - start, 1)
        write_json(path, record)
    return record


def _state_of(datalist: Path) -> str:
    """Give a hash that changes when files that a training reads change."""
    sections = [section for part in ("training", "validation") for section in load_sections(datalist, part)]
    files = dict.fromkeys(section.get(key) for key in ("image", "label", "known", "valid") for section in sections)
    # of files the bytes, since a copy of a data set may have other times; volumes are folders
    states = [sha256_of(Path(f)) if Path(f).is_file() else content_state(f) for f in files if f]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()


def load_network(checkpoint: str | Path, network: str = "fusion_fcn", **settings: Any) -> torch.nn.Module:
    """Make the network that weights need and load them into it.

    Args:
        checkpoint: the weights.
        network: "fusion_fcn" or "unet", for weights without a record.
        **settings: overrides of `inference.json`.

    Returns:
        The network, in evaluation mode.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: the weights do not fit, or their record is another's.
        RuntimeError: from the config, with the cause chained.
    """
    parser = _inference_parser(network)
    parser.update({**settings, "checkpoint": str(checkpoint)})
    loaded = parser.get_parsed_content("network_def")
    load_weights(loaded, checkpoint)
    return loaded.eval()


def settings_of_weights(
    checkpoint: str | Path, network: str = "fusion_fcn", overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Give the settings that weights need, those that a record of them holds.

    Args:
        checkpoint: the weights.
        network: "fusion_fcn" or "unet", for weights without a record.
        overrides: settings of the user, which win; others than those of a record are passed over.

    Returns:
        The settings, from the record where it has them and else from the configs of the network.

    Raises:
        ValueError: the record is that of other weights.
    """
    known = settings_of(checkpoint, _inference_parser(network)["defaults"])
    return {key: (overrides or {}).get(key, known[key]) for key in default_settings()}


def _inference_parser(network: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(ROOT / "configs" / f"{name}.json") for name in config_names(network, base="inference")])
    return parser


def hardware() -> str:
    """Name the machine that figures come from."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cores = torch.get_num_threads()
    return f"{cores} core{'s' if cores > 1 else ''} ({platform.machine()}), no GPU"


def config_names(network: str, *more: str, base: str = "train") -> tuple[str, ...]:
    """Give the configs of a network.

    Args:
        network: "fusion_fcn" or "unet". Where weights have a record, their network is what it says.
        *more: names of configs to add, such as "evaluate".
        base: what they overlay, "train" or "inference".

    Returns:
        Names for `prepare`.

    Raises:
        ValueError: it is none of the two.
    """
    if network not in ("fusion_fcn", "unet"):
        raise ValueError(f"network must be fusion_fcn or unet, but got {network!r}")
    return (base, *(["unet"] if network == "unet" else []), *more)


def settings_for(*configs: str, **settings: Any) -> dict[str, Any]:
    """Choose the settings that configs know, where a command runs several with the settings of its user.

    Args:
        *configs: names of files in `configs`, without suffix.
        **settings: overrides; `#` leads into nested ones.

    Returns:
        Those whose first key stands in one of the configs.
    """
    contents = [json.loads((ROOT / "configs" / f"{name}.json").read_text()) for name in configs]
    known = {key.split("#")[0] for content in contents for key in content}
    return {key: value for key, value in settings.items() if key.replace("::", "#").split("#")[0] in known}


def reject_overrides(settings: dict[str, Any], *names: str) -> None:
    """Refuse settings that a command makes itself.

    Args:
        settings: what the user gave.
        *names: what the command makes.

    Raises:
        ValueError: the user gave one of them.
    """
    for name in names:
        if name in settings:
            raise ValueError(f"--{name} cannot be given here: the command sets it")
