"""Ending a training that has diverged."""

from __future__ import annotations

import math

import torch
from ignite.engine import Engine, Events
from torch import nn

__all__ = ["RequireFinite"]


class RequireFinite:
    """End a training with an error when its loss or its weights are NaN or infinite.

    Nothing is written of that epoch, so that the checkpoint of the one before is there to go on from. Ignite's
    TerminateOnNan ends a training as if it were complete, and what follows the epoch overwrites the checkpoint.

    Args:
        network: the network that is trained.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Register the handler, before those that validate and write.

        Args:
            engine: a trainer whose output is a list of items with a ``loss``.
        """
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.check_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.check_weights)

    def check_loss(self, engine: Engine) -> None:
        """Refuse a loss that is no finite number, unless its step was left out, as mixed precision on a GPU does."""
        loss = float(engine.state.output[0]["loss"])
        if not math.isfinite(loss) and not all(torch.isfinite(w).all() for w in self.network.parameters()):
            _require(loss, "the loss", engine)

    def check_weights(self, engine: Engine) -> None:
        """Refuse weights that are none, which the last step of an epoch may have left."""
        for name, value in self.network.state_dict().items():
            _require(value, name, engine)


def _require(value: float | torch.Tensor, name: str, engine: Engine) -> None:
    value = torch.as_tensor(value)
    if not torch.isfinite(value).all():
        got = value[~torch.isfinite(value)].flatten()[0].item()
        raise FloatingPointError(
            f"{name} must be finite, but got {got} in epoch {engine.state.epoch}, step {engine.state.iteration}: the "
            "training has diverged; `--resume True` with a lower `--learning_rate` goes on from the epoch before"
        )
