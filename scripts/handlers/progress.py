"""What a person sees while a training runs."""

from __future__ import annotations

from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar, Timer

__all__ = ["DataLoadingTime", "LossProgressBar"]


class LossProgressBar(ProgressBar):
    """Ignite's progress bar over the iterations of an epoch, with the loss beside it.

    Args:
        **kwargs: of ``ignite.handlers.ProgressBar`` and so of tqdm.
    """

    def attach(self, engine: Engine) -> None:
        """Register the handler.

        Args:
            engine: a trainer whose output is a list of items with a ``loss``.
        """
        super().attach(engine, output_transform=lambda output: {"loss": output[0]["loss"]})


class DataLoadingTime:
    """Measure the share of an epoch that the network spends waiting for data.

    It stands in ``engine.state.metrics["data_wait"]`` at the end of each epoch, from 0 to 1, and so in the TensorBoard
    log; the first batch of an epoch, before which nothing can be prefetched, is counted too.
    """

    def attach(self, engine: Engine) -> None:
        """Register the handler.

        Args:
            engine: the trainer.
        """
        self._waiting = Timer()
        self._waiting.attach(
            engine,
            start=Events.EPOCH_STARTED,
            pause=Events.GET_BATCH_COMPLETED,
            resume=Events.GET_BATCH_STARTED,
        )
        self._epoch = Timer()
        self._epoch.attach(engine, start=Events.EPOCH_STARTED)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Store the share of the epoch that has ended."""
        engine.state.metrics["data_wait"] = self._waiting.value() / self._epoch.value()
        engine.logger.info("Waiting for data: %.1f %% of the epoch", 100 * engine.state.metrics["data_wait"])
