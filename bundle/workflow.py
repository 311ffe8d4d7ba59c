"""Running the bundle's own configs from a command."""

from __future__ import annotations

import importlib
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigWorkflow

__all__ = ["ROOT", "ScoredSection", "machine", "prepare", "run", "score", "train"]

ROOT = Path(__file__).resolve().parents[1]
"""The bundle."""


@dataclass(frozen=True)
class ScoredSection:
    """A labelled section and what a network says of it.

    Attributes:
        image: the section as the network saw it, float32 (1, width, height) in [0, 1].
        label: bool (width, height).
        probabilities: float32 (2, width, height).
    """

    image: np.ndarray
    label: np.ndarray
    probabilities: np.ndarray


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
    if str(ROOT) not in sys.path:  # the configs import `scripts`
        sys.path.insert(0, str(ROOT))
        importlib.invalidate_caches()
    workflow = ConfigWorkflow(
        files, workflow_type="train", run_id=run_id, bundle_root=str(ROOT), logging_file=False, **overrides
    )
    workflow.initialize()
    return workflow


def run(*configs: str, run_id: str, **overrides: Any) -> None:
    """Run configs as ``python -m monai.bundle run`` does. See `prepare`."""
    workflow = prepare(*configs, run_id=run_id, **overrides)
    workflow.run()
    workflow.finalize()


def score(*configs: str, part: str, **overrides: Any) -> list[ScoredSection]:
    """Let a network score the sections of a list.

    Args:
        *configs: as for `prepare`, an evaluation.
        part: which list, such as "validation".
        **overrides: settings, with `checkpoint` among them.

    Returns:
        The sections, in the order of the list.

    Raises:
        RuntimeError: from the configs, with the cause chained.
    """
    load = {"_target_": "scripts.handlers.LoadWeights", "network": "@network", "path": "@checkpoint"}
    bar = {"_target_": "ignite.handlers.ProgressBar", "desc": f"scoring {part}"}
    workflow = prepare(
        *configs,
        run_id="evaluating",
        **{
            "validate#sections": f"$scripts.data.load_sections(@datalist, '{part}')",
            "validate#handlers": [load, bar],
            **overrides,
        },
    )
    sections: list[ScoredSection] = []

    def collect(engine: Engine) -> None:
        for item in engine.state.output:
            image, label, probabilities = (item[key].float().cpu().numpy() for key in ("image", "label", "score"))
            sections.append(ScoredSection(np.array(image), label[1] > 0, np.array(probabilities)))

    evaluator = workflow.parser.get_parsed_content("validate#evaluator")
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, collect)
    evaluator.run()
    workflow.finalize()
    return sections


def machine() -> str:
    """Name the machine that figures come from."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} cores ({platform.machine()}), no GPU"


def train(*configs: str, folder: Path, epochs: int, **settings: Any) -> None:
    """Train, go on with a training that was interrupted, or leave one that is complete.

    Args:
        *configs: names of the configs.
        folder: of the training.
        epochs: its number of epochs.
        **settings: overrides.
    """
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.is_file() and torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"] >= epochs:
        return
    resume = checkpoint.is_file()
    run(*configs, run_id="training", ckpt_dir=str(folder), epochs=epochs, resume=resume, **settings)
