"""Repeatable epochs."""

from __future__ import annotations

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events
from ignite.utils import manual_seed
from monai.data.utils import set_rnd
from torch.utils.data import DataLoader, DistributedSampler

__all__ = ["EpochSeed"]


class EpochSeed:
    """Derive the random state of each epoch from the seed and the number of the epoch alone.

    So a training that is resumed after epoch n goes on exactly as one that was never stopped. It has to be the first
    handler of its engine.

    Args:
        seed: non-negative seed of the whole training.
        data_loader: loader whose data set holds the random transforms.
    """

    def __init__(self, seed: int, data_loader: DataLoader) -> None:
        self.seed = seed
        self.data_loader = data_loader

    def attach(self, engine: Engine) -> None:
        """Register the handler.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed torch, NumPy, Python and the random transforms."""
        # processes of a distributed training must not draw the same patches
        seed = self._derive(engine.state.epoch, idist.get_rank())
        manual_seed(seed)
        set_rnd(self.data_loader.dataset, seed)
        if isinstance(self.data_loader.sampler, DistributedSampler):
            # but all have to agree on the order of sections; MONAI sets the epoch alone, whatever the seed
            self.data_loader.sampler.set_epoch(self._derive(engine.state.epoch))

    def _derive(self, *numbers: int) -> int:
        """Mix the seed with other numbers, so that trainings of neighbouring seeds have nothing in common."""
        return int(np.random.SeedSequence([self.seed, *numbers]).generate_state(1)[0])
