"""Panels of a validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.transforms import CenterSpatialCrop
from torch.utils.tensorboard import SummaryWriter

from scripts.figures import hide_outside, overlay, save_picture

__all__ = ["ValidationFigures"]

PANEL_SIZE = 512
"""Most pixels a side that a panel shows of a section."""


class ValidationFigures:
    """Show sections of a validation side by side: section, truth, score, result without and with the CRF.

    Of a large section its middle is shown. The panels go to TensorBoard, and the last ones to ``panel_<number>.png``
    beside its log.

    Args:
        log_dir: folder of the TensorBoard log.
        crf: transform that writes the refined ``score`` of an item to ``score_crf``; None leaves that column out.
        count: how many sections are shown, the first ones of the data.
        interval: show every how many validations.
    """

    def __init__(self, log_dir: str | Path, crf: Callable | None = None, count: int = 2, interval: int = 1) -> None:
        self.log_dir = Path(log_dir)
        self.crf = crf
        self.count = count
        self.interval = interval
        self._runs = 0
        self._writer: SummaryWriter | None = None

    def attach(self, engine: Engine) -> None:
        """Register the handler.

        Args:
            engine: evaluator whose output items have image, label and score, and whose batch items may have
                tissue.
        """
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.STARTED, self._start)

    def _start(self, engine: Engine) -> None:
        if self._writer is None and idist.get_rank() == 0:
            self._writer = SummaryWriter(str(self.log_dir))
        self._shown = 0
        self._due = self._runs % self.interval == 0
        self._runs += 1

    def __call__(self, engine: Engine) -> None:
        """Draw the panels of a batch."""
        if not self._due or idist.get_rank() > 0 or self._shown >= self.count:
            return
        pairs = list(zip(engine.state.output, engine.state.batch, strict=True))
        for item, source in pairs[: self.count - self._shown]:
            panel = self._panel({**item, "tissue": source.get("tissue", torch.ones_like(item["label"]))})
            self._writer.add_image(f"section_{self._shown}", panel, engine.state.epoch, dataformats="WHC")
            self._writer.flush()
            save_picture(panel, self.log_dir / f"panel_{self._shown}.png")
            self._shown += 1

    def _panel(self, item: dict) -> np.ndarray:
        # of a large section its middle: more would not be seen in a panel, and the CRF would take minutes
        middle = CenterSpatialCrop(PANEL_SIZE)
        item = {key: middle(item[key]) for key in ("image", "label", "score", "tissue")}
        tissue = _array(item["tissue"])[0] > 0
        image = hide_outside(_array(item["image"])[0], tissue)
        label = _array(item["label"])[0] > 0
        score = _array(item["score"])[0] * tissue
        results = [score > 0.5]
        if self.crf is not None:
            refined = self.crf({"image": item["image"], "score": item["score"]})["score_crf"]
            results.append(tissue & (_array(refined)[0] > 0.5))
        nothing = np.zeros_like(label)
        columns = [overlay(image, nothing, nothing), overlay(image, label, label), overlay(score, nothing, nothing)]
        columns += [overlay(image, label, result) for result in results]
        gap = np.full((4, label.shape[1], 3), 255, np.uint8)
        return np.concatenate([part for column in columns for part in (column, gap)][:-1])


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()
