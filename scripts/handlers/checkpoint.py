"""Keeping the best weights, resuming a training."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events, State
from monai.engines import Evaluator
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from scripts.io import lock, write_atomically
from scripts.weights import save_weights

from .averaging import WeightAverage
from .loading import bare, load_weights, read_checkpoint

__all__ = ["TrainingCheckpoint", "lock_training", "unlock_trainings"]

logger = logging.getLogger(__name__)

TOLD = ("seed", "patch_size", "datalist_sha256", "init_checkpoint_sha256")
"""What a record tells of a training besides the settings of its weights, that is not to change on the way."""


_locks: dict[Path, int] = {}


def lock_training(folder: str | Path) -> None:
    """Keep other processes from training in a folder; to be called as an expression of a config.

    The lock ends with `unlock_trainings`, with the training, or with this process, however that ends.

    Args:
        folder: of the training, which exists. This process may train there once more.

    Raises:
        OSError: another process trains there.
    """
    path = Path(folder).resolve() / ".lock"
    if path in _locks:
        if path.exists() and os.path.samestat(os.fstat(_locks[path]), path.stat()):
            return
        os.close(_locks.pop(path))  # of a folder that was removed since
    refusal = f"{path.parent}: another training runs here; `--ckpt_dir` names another folder"
    _locks[path] = lock(path, refusal)


def unlock_trainings() -> None:
    """Let other processes train in the folders that this one has locked."""
    while _locks:
        os.close(_locks.popitem()[1])


# processes that load sections outlive one that was killed by seconds, and would keep its locks
os.register_at_fork(after_in_child=unlock_trainings)


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
        record: what is recorded of the weights beside them, in ``model.json``, see `scripts.weights`, and kept in
            ``checkpoint.pt``. A training that is resumed has to agree with its own; the data that its initial weights
            were trained on are taken from there.

    Raises:
        FileNotFoundError: nothing to resume.
        FileExistsError: the folder holds a training that would be overwritten.
        ValueError: the training to resume has other settings, a list of other sections or other initial weights, or
            all its epochs, or no average where one is wanted, or the other way round, or its weights do not fit the
            network.
    """

    def __init__(
        self,
        folder: str | Path,
        network: nn.Module,
        objects: dict[str, Any],
        evaluator: Evaluator,
        resume: bool,
        average: WeightAverage | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        self.record = record and json.loads(json.dumps(record))  # as it is read again
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
        engine.add_event_handler(Events.COMPLETED, unlock_trainings)

    def require_new(self, engine: Engine) -> None:
        """Refuse to overwrite another training."""
        existing = [str(path) for path in (self.best, self.last) if path.exists()]
        if existing:
            resumed = "`--resume True` goes on with it" if self.last.exists() else "it has no checkpoint.pt to resume"
            raise FileExistsError(
                f"{' and '.join(existing)}: a training lies here; {resumed}, `--ckpt_dir` names another folder"
            )

    def load(self, engine: Engine) -> None:
        """Go on from the last epoch."""
        if not self.last.is_file():
            weights = f"; {self.best} can begin another as `--init_checkpoint`" if self.best.exists() else ""
            raise FileNotFoundError(f"{self.last}: no training to resume{weights}")
        state = read_checkpoint(self.last)
        self._agree(state.get("record"))
        if ("average" in state) != (self.average is not None):
            raise ValueError(
                f"{self.last}: this training was begun {'with' if 'average' in state else 'without'} a moving average "
                "of the weights; resume it with the `ema_momentum` of its beginning"
            )
        load_weights(bare(self.network), self.last, averaged=False)
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

    def _agree(self, begun: Mapping[str, Any] | None) -> None:
        """Refuse to go on otherwise than a training was begun, and remember what its initial weights come from."""
        if self.record is None:
            return
        if begun is None:  # of version 0.10.1 or before
            logger.warning("%s: holds no record of its training, with which settings could be compared", self.last)
            return
        told = {**begun["settings"], **{key: begun.get(key) for key in TOLD}}
        for key, now in {**self.record["settings"], **{key: self.record[key] for key in TOLD}}.items():
            # a list or weights that are not named are those of the beginning
            if key in told and now != told[key] and not (now is None and key.endswith("_sha256")):
                raise ValueError(
                    f"{self.last}: {key} must be {told[key]!r}, with which this training was begun, but got {now!r}; "
                    f"leave out what is not to change, or begin another: `--init_checkpoint {self.best}` with another "
                    "`--ckpt_dir`"
                )
        origin = {key: begun.get(key) for key in TOLD if key.endswith("_sha256")}
        trained_on = {**begun["training_data"], **self.record["training_data"]}
        self.record = {**self.record, **origin, "training_data": trained_on}

    def save(self, engine: Engine) -> None:
        """Write the state after an epoch, and the weights if they are the best so far."""
        if idist.get_rank() > 0:
            return
        network = bare(self.network).state_dict()
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
            **({} if self.record is None else {"record": self.record}),
        }
        if best.best_metric_epoch == engine.state.epoch:
            save_weights(average.get("average", network), self.best, self.record and {**self.record, **_best(best)})
        write_atomically(self.last, lambda path: torch.save(state, path))


def _best(state: State) -> dict[str, Any]:
    """What is recorded of the best epoch of a validation."""
    return {"best_epoch": state.best_metric_epoch, "validation_jaccard": round(float(state.best_metric), 4)}


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
