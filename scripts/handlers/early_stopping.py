"""Ending a training early."""

from __future__ import annotations

import logging

from ignite.engine import Engine, Events
from monai.engines import Evaluator

__all__ = ["EarlyStopping"]

logger = logging.getLogger(__name__)


class EarlyStopping:
    """End a training when its validations have stopped to improve.

    It counts from the best epoch, which `TrainingCheckpoint` keeps, so that a resumed training ends where an
    uninterrupted one would; the handlers of MONAI and Ignite begin to count anew.

    Args:
        evaluator: the evaluator that the trainer runs.
        patience: epochs without improvement of the evaluator's key metric after which the training ends, at least 1.
        interval: epochs from one validation to the next; it ends after one alone, which may have found an improvement.

    Raises:
        ValueError: `patience` is below 1.
    """

    def __init__(self, evaluator: Evaluator, patience: int, interval: int = 1) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1 epoch, but got {patience}")
        self.evaluator = evaluator
        self.patience = patience
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Register the handler, after the one that runs the validation.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self)

    def __call__(self, engine: Engine) -> None:
        """End the training if it is time."""
        best = self.evaluator.state.best_metric_epoch
        if best > 0 and engine.state.epoch - best >= self.patience:
            logger.info("No improvement since epoch %d: the training ends", best)
            engine.terminate()
