"""The moving average of the weights of a training."""

from __future__ import annotations

from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from torch import nn

__all__ = ["WeightAverage"]


class WeightAverage(EMAHandler):
    """Ignite's exponential moving average of the weights, with a start that depends on the iteration alone.

    An average with a small momentum would hang on the random weights for a thousand steps. So the momentum starts high
    and sinks as 9 / (10 + iteration) to its final value (as TensorFlow's ``ExponentialMovingAverage`` does): at first
    the average is that of the last tenth of the steps. Ignite's own warm-up counts from the start of the process, so
    that a resumed training would differ from one that was not interrupted. The running statistics of batch
    normalisations are averaged likewise: those of the network belong to other weights.

    Args:
        model: the network that is trained, perhaps in DistributedDataParallel.
        momentum: share of the newest weights in the average, in (0, 1]; 1 averages nothing, and `ema_model` is the
            network itself.

    Raises:
        ValueError: `momentum` is out of its range.
    """

    def __init__(self, model: nn.Module, momentum: float) -> None:
        if momentum == 1:
            self.model = self.ema_model = getattr(model, "module", model)
            self.momentum = momentum
        else:
            super().__init__(model, momentum=momentum, handle_buffers="update")

    def attach(self, engine: Engine, name: str = "ema_momentum") -> None:
        """Register the handler, after one that loads initial weights; `TrainingCheckpoint` does it.

        Args:
            engine: the trainer.
            name: of the present momentum in ``engine.state``.
        """
        if self.momentum == 1:
            return
        engine.add_event_handler(Events.STARTED, self._start)
        # before the average is updated
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._choose_momentum, name)
        super().attach(engine, name)

    def _start(self, engine: Engine) -> None:
        self.ema_model.load_state_dict(self.model.state_dict())

    def _choose_momentum(self, engine: Engine, name: str) -> None:
        setattr(engine.state, name, max(self.momentum, 9 / (10 + engine.state.iteration)))
