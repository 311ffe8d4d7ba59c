"""Exchanging the weights in use for better ones while a training runs."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn

from scripts.io import write_json
from scripts.weights import copy_weights

from .loading import bare, load_weights

__all__ = ["PromoteBestWeights"]

logger = logging.getLogger(__name__)


class PromoteBestWeights:
    """Exchange the weights that are in use for those of a training, as soon as they are better.

    Before the training, the weights in use are validated as the training's own will be. Each file is complete or absent
    at any time, so the training can be killed.

    Args:
        folder: of the training; `TrainingCheckpoint` keeps the best weights there, and this handler ``stats.json``:
            ``epoch`` and ``total_epochs``, ``best_metric`` and its epoch, ``deployed_before``, the metric of the
            weights that were in use before, and ``published``, whether they have been exchanged.
        deployed: file of the weights in use.
        copy: file for the best weights of this training, better or not.
        network: the network.
        evaluator: the evaluator that the trainer runs.

    Raises:
        FileNotFoundError: there are no weights in use.
        ValueError: they do not fit the network.
    """

    def __init__(
        self, folder: str | Path, deployed: str | Path, copy: str | Path, network: nn.Module, evaluator: Evaluator
    ) -> None:
        self.folder = Path(folder)
        self.deployed = deployed
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
        engine.add_event_handler(Events.STARTED, self.validate_deployed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.publish)

    def validate_deployed(self, engine: Engine) -> None:
        """Measure how good the weights in use are."""
        network, state = bare(self.network), self.evaluator.state
        initial = copy.deepcopy(network.state_dict())
        load_weights(network, self.deployed)
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
            copy_weights(weights, self.copy)
            if best.best_metric > self.before:
                copy_weights(weights, self.deployed)
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
            "deployed_before": self.before,
            "published": self.published,
        }
        write_json(self.folder / "stats.json", stats)
