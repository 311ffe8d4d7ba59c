"""Scores of mitochondria as objects, in an evaluation."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events
from skimage.measure import label as connected_components

from scripts.instances import ObjectScores, separate
from scripts.io import write_json

__all__ = ["ObjectReport"]

logger = logging.getLogger(__name__)


class ObjectReport:
    """Write how well mitochondria are found one by one, within sections, as ``objects.json``.

    What touches is told apart by `scripts.instances.separate`. The true ones are the numbers of labels that hold
    instances, else the connected parts of the label; what is not known is none of them.

    Args:
        output_dir: where to write.
        results: name of each result and the key of its probabilities (1, width, height) in the engine's output.
        thresholds: for each result the probability from which on a pixel is a mitochondrion; 0.5 where none is given.
        neck: see `scripts.instances.separate`.
        min_area: pixels; smaller profiles of a result are left out.
    """

    def __init__(
        self,
        output_dir: str | Path,
        results: dict[str, str],
        thresholds: dict[str, float] | None = None,
        neck: float = 0.8,
        min_area: int = 50,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.results = results
        self.thresholds = {name: (thresholds or {}).get(name, 0.5) for name in results}
        self.neck = neck
        self.min_area = min_area

    def attach(self, engine: Engine) -> None:
        """Register the handler.

        Args:
            engine: evaluator whose output items have label and the results, and whose batch items may have instances.
        """
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def _start(self, engine: Engine) -> None:
        self._scores = {name: ObjectScores() for name in self.results}

    def __call__(self, engine: Engine) -> None:
        """Count the objects of a batch."""
        for item, source in zip(engine.state.output, engine.state.batch, strict=True):
            if "instances" in source:
                true = source["instances"][0].cpu().numpy().astype(np.int64)
            else:
                true = connected_components(item["label"][0].cpu().numpy() == 1, connectivity=1)
            for name, key in self.results.items():
                mask = item[key][0].cpu().numpy() >= self.thresholds[name]
                self._scores[name].add(true, separate(mask, self.neck, self.min_area), separate=True)

    def write(self, engine: Engine) -> None:
        """Write the scores of all sections, gathered from all processes."""
        parts = idist.all_gather(self._scores) if idist.get_world_size() > 1 else [self._scores]
        if idist.get_rank() > 0:
            return
        summary = {}
        for name in self.results:
            total = ObjectScores()
            for part in parts:
                total.merge(part[name])
            # JSON knows no NaN
            summary[name] = {k: None if math.isnan(value) else value for k, value in total.compute().items()}
            logger.info(
                "Mitochondria %s: F1 %s at an intersection over union of 0.5 (%d true, %d found)",
                name.replace("_", " "),
                summary[name]["f1@0.5"] if summary[name]["f1@0.5"] is None else f"{summary[name]['f1@0.5']:.4f}",
                summary[name]["true"],
                summary[name]["found"],
            )
        write_json(self.output_dir / "objects.json", {"thresholds": self.thresholds, **summary})
