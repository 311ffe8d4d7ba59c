"""A faster network for evaluation and inference."""

from __future__ import annotations

from ignite.engine import Events
from monai.engines import SupervisedEvaluator

from scripts.networks import for_inference

__all__ = ["FoldBatchNorm"]


class FoldBatchNorm:
    """Let an evaluator use its network with the batch normalisations folded into the convolutions.

    The output is the same, see `scripts.networks.for_inference`. It has to come after the handler that loads weights.
    """

    def attach(self, engine: SupervisedEvaluator) -> None:
        """Register the handler.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: SupervisedEvaluator) -> None:
        """Exchange the network."""
        engine.network = for_inference(engine.network)
