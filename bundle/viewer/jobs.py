"""What takes long, each a call of what the command line runs; for the process beside the viewer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.handlers import TimeLimit
from monai.transforms import SaveImage, SaveImaged

from bundle.runs import ROOT, load_network, prepare, run
from scripts.handlers import PromoteBestWeights
from scripts.inference import PatchUncertainty, mean_uncertainty, patch_uncertainties
from scripts.io import select_query, write_section
from scripts.resampling import at_pixel_size
from scripts.transforms import FileLayoutd
from scripts.volumes.job import Job
from scripts.volumes.worker import Worker
from scripts.weights import copy_weights

from .project import Project

__all__ = ["JOBS", "PatchUncertainty", "Report"]

Report = Callable[..., None]
"""Takes what the person is told, by name: `step` of `steps`, and what belongs to it."""

STEPS_PER_EPOCH = 10
"""Of teaching, after which the network is validated."""
BATCH_SIZE = 4
MOST_SUGGESTIONS = 20
"""Sections that are looked at for the next to review."""


class Segmenter(Worker):
    """Segments single sections of a stack by the config of the inference, without writing them.

    Args:
        source: the stack.
        settings: overrides of ``inference.json``.
    """

    def __init__(self, source: str, settings: dict[str, Any]) -> None:
        config = str(ROOT / "configs" / "inference.json")
        super().__init__(Job(config, {"bundle_root": str(ROOT), **settings}, source, ".", torch.get_num_threads()))
        steps = self.parser.get_parsed_content("postprocessing")
        steps.transforms = tuple(t for t in steps.transforms if not isinstance(t, SaveImage | SaveImaged | FileLayoutd))

    def mask(self, index: int) -> np.ndarray:
        """Segment a section.

        Args:
            index: its number, from 0.

        Returns:
            uint8 (width, height), 255 in mitochondria.
        """
        self.segment(index, index + 1)
        return (255 * self.evaluator.state.output[0]["pred"][0].cpu().numpy()).astype(np.uint8)


_segmenter: tuple[Any, Segmenter] | None = None


def _loaded(source: str, settings: dict[str, Any]) -> Segmenter:
    """The segmenter of the last call, if it was for the same stack and weights."""
    global _segmenter
    key = (source, sorted(settings.items()), Path(settings["checkpoint"]).stat().st_mtime_ns)
    if _segmenter is None or _segmenter[0] != key or not _segmenter[1].usable:
        _segmenter = key, Segmenter(source, settings)
    return _segmenter[1]


def segment(report: Report, source: str, indices: Sequence[int], folder: str, settings: dict[str, Any]) -> None:
    """Segment sections; each mask is a file in `folder`, and reported."""
    segmenter = _loaded(source, settings)
    for step, index in enumerate(indices, 1):
        path = Path(folder) / f"{index:06d}.tif"
        try:
            write_section(path, segmenter.mask(index), result=True)
        except Exception:
            segmenter.usable = False  # an engine that was interrupted goes on where it was, and not with other data
            raise
        report(step=step, steps=len(indices), section=index, mask=str(path))


class LossReport:
    """Ignite handler that reports each step of a training.

    Args:
        report: what takes the loss.
        seconds: after which the training ends; 0 is never.
    """

    def __init__(self, report: Report, seconds: int = 0) -> None:
        self.report = report
        self.seconds = seconds

    def attach(self, engine: Engine) -> None:
        """Register the handler."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        if self.seconds:
            engine.add_event_handler(Events.EPOCH_COMPLETED, TimeLimit(self.seconds))

    def __call__(self, engine: Engine) -> None:
        """Report a step."""
        steps = engine.state.epoch_length * engine.state.max_epochs
        self.report(step=engine.state.iteration, steps=steps, loss=float(engine.state.output[0]["loss"]))


def teach(
    report: Report,
    stack: dict[str, Any],
    folder: str,
    weights: str,
    steps: int,
    minutes: float,
) -> None:
    """Fine-tune weights on the reviewed regions, written to `folder`; the best of them are there at any time."""
    home = Path(folder)
    project = Project(**stack, locked=False)
    project.write_teaching(home)
    workflow = prepare(
        "train",
        run_id="training",
        dataset_dir=folder,
        ckpt_dir=str(home / "run"),
        init_checkpoint=weights,
        pixel_size=project.pixel_size,
        epochs=max(1, math.ceil(steps / STEPS_PER_EPOCH)),
        patches_per_epoch=BATCH_SIZE * min(steps, STEPS_PER_EPOCH),
        batch_size=BATCH_SIZE,
        val_interval=1,
        quiet=True,
        learning_rate=3e-4,
        patch_size=128,
    )
    in_use = home / "in_use.pt"
    copy_weights(Path(weights), in_use)  # what is shipped or in use is never written over: this copy is
    get = workflow.parser.get_parsed_content
    get("checks")
    trainer = get("train#trainer")
    LossReport(report, round(60 * minutes)).attach(trainer)
    PromoteBestWeights(
        home / "run", in_use, home / "best.pt", get("average").ema_model, get("validate#evaluator")
    ).attach(trainer)
    trainer.run()


def measure(report: Report, stack: dict[str, Any], masks: str, sections: str, folder: str, **settings: Any) -> None:
    """Number and measure the mitochondria of the labels, as ``run objects`` does with their masks."""
    Project(**stack, locked=False).write_masks(Path(masks))
    run("objects", run_id="objects", dataset_dir=masks, sections_dir=sections, output_dir=folder, **settings)


def suggest(report: Report, source: str, reviewed: Sequence[int], settings: dict[str, Any]) -> dict[str, int | float]:
    """Find the section to review next, and the place in it that the network is least sure of.

    Of a long stack some sections are looked at, evenly spread.
    """
    segmenter = _loaded(source, settings)
    network, names = load_network(settings["checkpoint"]), [f"{i:06d}" for i in range(len(segmenter.sections))]
    wanted = segmenter.parser.get_parsed_content("network_pixel_size")
    rest = [index for index in range(len(names)) if index not in reviewed] or list(range(len(names)))
    rest = [rest[i] for i in np.unique(np.linspace(0, len(rest) - 1, min(len(rest), MOST_SUGGESTIONS)).astype(int))]
    scores, places = {}, {}
    for step, index in enumerate(rest, 1):
        section = segmenter.preprocessing(dict(segmenter.sections[index]))["image"]
        resampled = at_pixel_size(section.as_tensor()[None], section.meta["pixel_size"], wanted)[0]
        patches = patch_uncertainties(network, resampled)
        scores[names[index]] = mean_uncertainty(patches)
        worst = max(patches, key=lambda patch: patch.nats)
        middle = worst.left + worst.width / 2, worst.top + worst.height / 2
        x, y = (m * old / new for m, old, new in zip(middle, section.shape[1:], resampled.shape[1:], strict=True))
        places[names[index]] = {"section": index, "x": x, "y": y}
        report(step=step, steps=len(rest))
    return places[select_query(scores, [names[index] for index in reviewed])]


JOBS: dict[str, Callable] = {"segment": segment, "teach": teach, "measure": measure, "suggest": suggest}
"""By the names that requests use."""
