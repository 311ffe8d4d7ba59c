"""Keeping the best weights, resuming a training, ending it early."""

from __future__ import annotations

import copy
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from scripts.io import write_atomically, write_json
from scripts.networks.pretrained import mismatch

from .averaging import WeightAverage

__all__ = ["EarlyStop", "LoadWeights", "PublishWeights", "TrainingCheckpoint", "load_weights"]

logger = logging.getLogger(__name__)


def load_weights(network: nn.Module, path: str | Path, averaged: bool = True) -> None:
    """Load the weights of a network, from a checkpoint of a training or a bare state dict.

    Args:
        network: the network, changed in place.
        path: file of ``torch.save``.
        averaged: which weights of a checkpoint that has both: their moving average, or the last ones.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no weights, or they do not fit the network; the message names the keys.
    """
    state = _read(path)
    if isinstance(state, dict):
        state = state.get("network", state) if not averaged else state.get("average", state.get("network", state))
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path}: holds no weights of a network")
    found = mismatch(state, network.state_dict())
    if found:
        raise ValueError(f"{path}: these weights do not fit {type(network).__name__}: {found}")
    network.load_state_dict(state)
    logger.info("Weights of %s", path)


class LoadWeights:
    """Load weights when an evaluation or inference starts.

    Args:
        network: the network.
        path: file of `TrainingCheckpoint` or ``torch.save``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `load_weights`.
    """

    def __init__(self, network: nn.Module, path: str | Path) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Register the handler.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.STARTED, lambda: load_weights(_bare(self.network), self.path))


class EarlyStop:
    """End a training when its validations have stopped to improve.

    It counts from the best epoch, which `TrainingCheckpoint` keeps, so that a resumed training ends where an
    uninterrupted one would; the handlers of MONAI and Ignite begin to count anew.

    Args:
        evaluator: the evaluator that the trainer runs.
        patience: epochs without improvement of the evaluator's key metric after which the training ends, at least 1.

    Raises:
        ValueError: `patience` is below 1.
    """

    def __init__(self, evaluator: Evaluator, patience: int) -> None:
        if patience < 1:
            raise ValueError(f"patience has to be at least 1 epoch, got {patience}")
        self.evaluator = evaluator
        self.patience = patience

    def attach(self, engine: Engine) -> None:
        """Register the handler, after the one that runs the validation.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """End the training if it is time."""
        best = self.evaluator.state.best_metric_epoch
        if best > 0 and engine.state.epoch - best >= self.patience:
            logger.info("No improvement since epoch %d: the training ends", best)
            engine.terminate()


class TrainingCheckpoint:
    """Keep the best weights and all that a training needs to go on from its last epoch.

    ``model.pt`` holds the weights with the best key metric of the evaluator, ``checkpoint.pt`` the whole state after
    the last epoch. Both are complete or absent. MONAI's CheckpointSaver does neither: it writes in place, and after a
    resumption it forgets the best metric, so that a worse network overwrites the best.

    Args:
        folder: where the two files lie.
        network: the network.
        objects: what else has a state, by name, such as optimizer and schedule. A rate, a weight decay and the like
            that differ from those of the training that is resumed are used from there on.
        evaluator: the evaluator that the trainer runs.
        resume: whether to go on from ``checkpoint.pt``. If False, the folder must hold no training.
        average: the moving average of the weights, which is what is validated and what ``model.pt`` holds; attached
            here, since it starts from weights that were loaded, and goes on where the training does. None averages
            nothing.

    Raises:
        FileNotFoundError: nothing to resume.
        FileExistsError: the folder holds a training that would be overwritten.
        ValueError: the training to resume has all its epochs, or no average where one is wanted, or the other way
            round, or its weights do not fit the network.
    """

    def __init__(
        self,
        folder: str | Path,
        network: nn.Module,
        objects: dict[str, Any],
        evaluator: Evaluator,
        resume: bool,
        average: WeightAverage | None = None,
    ) -> None:
        self.best = Path(folder) / "model.pt"
        self.last = Path(folder) / "checkpoint.pt"
        self.network = network
        self.objects = objects
        self.evaluator = evaluator
        self.resume = resume
        self.average = None if average is None or average.momentum == 1 else average

    def attach(self, engine: Engine) -> None:
        """Register the handler, after those that load weights, validate, schedule and stop.

        Args:
            engine: the trainer.
        """
        if self.average is not None:
            self.average.attach(engine)
        engine.add_event_handler(Events.STARTED, self.load if self.resume else self.require_new)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def require_new(self, engine: Engine) -> None:
        """Refuse to overwrite another training."""
        existing = [str(path) for path in (self.best, self.last) if path.exists()]
        if existing:
            raise FileExistsError(
                f"{' and '.join(existing)}: a training lies here; `--resume True` goes on with it, `--ckpt_dir` "
                "names another folder"
            )

    def load(self, engine: Engine) -> None:
        """Go on from the last epoch."""
        if not self.last.is_file():
            raise FileNotFoundError(f"{self.last}: no training to resume")
        state = _read(self.last)
        if ("average" in state) != (self.average is not None):
            raise ValueError(
                f"{self.last}: this training was begun {'with' if 'average' in state else 'without'} a moving average "
                "of the weights; resume it with the `ema_momentum` of its beginning"
            )
        load_weights(_bare(self.network), self.last, averaged=False)
        if self.average is not None:
            self.average.ema_model.load_state_dict(state["average"])
        for name, part in self.objects.items():
            wanted = _settings(part)
            part.load_state_dict(state[name])
            _use(wanted, part)
            if isinstance(part, LRScheduler):
                # a schedule for more epochs than were planned has another rate here than the one saved
                steps, part.last_epoch = part._step_count, part.last_epoch - 1
                part.step()
                part._step_count = steps
        if engine.scaler is not None and state["scaler"] is not None:
            engine.scaler.load_state_dict(state["scaler"])
        if state["epoch"] >= engine.state.max_epochs:
            raise ValueError(f"{self.last}: has all its {state['epoch']} epochs; `--epochs` allows more")
        # not the saved iteration: with other data, batches or processes an epoch has another length
        engine.state.epoch, engine.state.iteration = state["epoch"], state["epoch"] * engine.state.epoch_length
        self.evaluator.state.best_metric = state["best_metric"]
        self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        logger.info("Resumed after epoch %d from %s", state["epoch"], self.last)

    def save(self, engine: Engine) -> None:
        """Write the state after an epoch, and the weights if they are the best so far."""
        if idist.get_rank() > 0:
            return
        network = _bare(self.network).state_dict()
        average = {} if self.average is None else {"average": self.average.ema_model.state_dict()}
        best = self.evaluator.state
        if math.isnan(best.best_metric):  # MONAI takes whatever comes first for the best, and nothing is more than NaN
            best.best_metric, best.best_metric_epoch = -1, -1
        state = {
            "network": network,
            **average,
            **{name: part.state_dict() for name, part in self.objects.items()},
            "scaler": None if engine.scaler is None else engine.scaler.state_dict(),
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "best_metric": float(best.best_metric),
            "best_metric_epoch": best.best_metric_epoch,
        }
        if best.best_metric_epoch == engine.state.epoch:
            write_atomically(self.best, lambda path: torch.save(average.get("average", network), path))
        write_atomically(self.last, lambda path: torch.save(state, path))


class PublishWeights:
    """Exchange the weights that are in use for those of a training, as soon as they are better.

    Before the training, the weights in use are validated as the training's own will be. Each file is complete or absent
    at any time, so the training can be killed.

    Args:
        folder: of the training; `TrainingCheckpoint` keeps the best weights there, and this handler ``stats.json``:
            ``epoch`` and ``total_epochs``, ``best_metric`` and its epoch, ``in_use_before``, the metric of the weights
            that were in use before, and ``published``, whether they have been exchanged.
        in_use: file of the weights in use.
        copy: file for the best weights of this training, better or not.
        network: the network.
        evaluator: the evaluator that the trainer runs.

    Raises:
        FileNotFoundError: there are no weights in use.
        ValueError: they do not fit the network.
    """

    def __init__(
        self, folder: str | Path, in_use: str | Path, copy: str | Path, network: nn.Module, evaluator: Evaluator
    ) -> None:
        self.folder = Path(folder)
        self.in_use = in_use
        self.copy = copy
        self.network = network
        self.evaluator = evaluator
        self.before = float("nan")
        self.published = False

    def attach(self, engine: Engine) -> None:
        """Register the handler, after the one that loads weights and `TrainingCheckpoint`.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(Events.STARTED, self.validate_in_use)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.publish)

    def validate_in_use(self, engine: Engine) -> None:
        """Measure how good the weights in use are."""
        network, state = _bare(self.network), self.evaluator.state
        initial = copy.deepcopy(network.state_dict())
        load_weights(network, self.in_use)
        self.evaluator.run()
        self.before = float(state.best_metric)
        state.best_metric, state.best_metric_epoch = -1, -1  # what follows is another network
        network.load_state_dict(initial)
        logger.info("Weights in use: %s = %.4f", state.key_metric_name, self.before)
        self._report(engine)

    def publish(self, engine: Engine) -> None:
        """Publish weights that are the best since this epoch."""
        best = self.evaluator.state
        if best.best_metric_epoch == engine.state.epoch:
            weights = self.folder / "model.pt"
            write_atomically(self.copy, lambda partial: shutil.copyfile(weights, partial))
            if best.best_metric > self.before:
                write_atomically(self.in_use, lambda partial: shutil.copyfile(weights, partial))
                self.published = True
                logger.info("Epoch %d: better weights are in use now", engine.state.epoch)
        self._report(engine)

    def _report(self, engine: Engine) -> None:
        best = self.evaluator.state
        stats = {
            "epoch": engine.state.epoch,
            "total_epochs": engine.state.max_epochs,
            "best_metric": float(best.best_metric) if best.best_metric_epoch > 0 else self.before,
            "best_metric_epoch": max(0, best.best_metric_epoch),
            "in_use_before": self.before,
            "published": self.published,
        }
        write_json(self.folder / "stats.json", stats)


def _settings(part: Any) -> list[Any]:
    """What a user sets of an optimizer, by group of parameters, or of a schedule."""
    if isinstance(part, LRScheduler):
        return list(part.base_lrs)
    if isinstance(part, torch.optim.Optimizer):
        return [{k: v for k, v in group.items() if k not in ("params", "lr")} for group in part.param_groups]
    return []


def _use(wanted: list[Any], part: Any) -> None:
    """Let a part that was loaded go on with other settings, and say so."""
    found = _settings(part)
    if isinstance(part, LRScheduler) and found != wanted:
        logger.warning("The learning rate at the start was %s; from here on it is as if it had been %s", found, wanted)
        part.base_lrs = wanted
    elif isinstance(part, torch.optim.Optimizer):
        for group, old, new in zip(part.param_groups, found, wanted, strict=True):
            for key in new.keys() & old.keys() - {"initial_lr"}:
                if old[key] != new[key]:
                    logger.warning("%s was %s; from here on it is %s", key, old[key], new[key])
            group.update(new)


def _bare(network: nn.Module) -> nn.Module:
    """Unwrap a network from DistributedDataParallel and torch.compile, which change its keys."""
    network = getattr(network, "module", network)
    return getattr(network, "_orig_mod", network)


def _read(path: str | Path) -> Any:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path}: no such file of weights; `run training` makes them, `--checkpoint` names others"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path}: is no checkpoint that torch can read: {error}") from None
