"""The report of an evaluation."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events
from monai.utils import ImageMetaKey

from scripts.figures import hide_outside, overlay, save_picture
from scripts.io import split_suffix, write_atomically, write_json
from scripts.metrics import jaccard

__all__ = ["JaccardReport"]

logger = logging.getLogger(__name__)


class JaccardReport:
    """Write the Jaccard index of an evaluation as JSON and CSV, and each section as an overlay picture.

    Two figures are given for each result: over all pixels of all sections together, as the field reports it, and the
    mean over sections. ``jaccard.json`` holds the figures, ``jaccard.csv`` a row per section, ``overlays/`` the
    pictures (see `overlay` for their colours), drawn of the last result. The number of a section in the data stands in
    its row, and leads the name of its picture.

    Args:
        output_dir: where to write.
        results: name of each result and the key of its probabilities (1, width, height) in the engine's output, for
            instance ``{"without_crf": "score", "with_crf": "score_crf"}``.
        thresholds: for each result the probability from which on a pixel is a mitochondrion; 0.5 where none is given.
        note: further entries for the JSON, such as the weights.
    """

    def __init__(
        self,
        output_dir: str | Path,
        results: dict[str, str],
        thresholds: dict[str, float] | None = None,
        note: dict[str, Any] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.results = results
        self.thresholds = {name: (thresholds or {}).get(name, 0.5) for name in results}
        self.note = note or {}

    def attach(self, engine: Engine) -> None:
        """Register the handler.

        Args:
            engine: evaluator whose output items have image, label and the results, and whose batch items may
                have tissue.
        """
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def _start(self, engine: Engine) -> None:
        self._rows: list[dict] = []

    def __call__(self, engine: Engine) -> None:
        """Count the pixels of a batch and draw its sections."""
        for item, source in zip(engine.state.output, engine.state.batch, strict=True):
            meta = source["image"].meta
            stem, _ = split_suffix(meta[ImageMetaKey.FILENAME_OR_OBJ])
            # its place in the data, which are dealt to the processes in turn
            number = len(self._rows) * idist.get_world_size() + idist.get_rank()
            row = {"number": number, "section": stem, "page": int(meta.get("page", 0))}
            label = item["label"][0].cpu().numpy() > 0
            for name, key in self.results.items():
                found = item[key][0].cpu().numpy() >= self.thresholds[name]
                row[f"{name}_true"] = int(np.count_nonzero(found & label))
                row[f"{name}_missed"] = int(np.count_nonzero(label & ~found))
                row[f"{name}_false"] = int(np.count_nonzero(found & ~label))
                row[f"{name}_jaccard"] = jaccard(*(row[f"{name}_{kind}"] for kind in ("true", "missed", "false")))
            image = item["image"][0].cpu().numpy()
            if "tissue" in source:
                image = hide_outside(image, source["tissue"][0].cpu().numpy() > 0)
            save_picture(overlay(image, label, found), self.output_dir / "overlays" / f"{number:04d}_{stem}.png")
            self._rows.append(row)

    def write(self, engine: Engine) -> None:
        """Write the figures of all sections, gathered from all processes."""
        gathered = idist.all_gather(self._rows) if idist.get_world_size() > 1 else [self._rows]
        rows = sorted((row for part in gathered for row in part), key=lambda row: row["number"])
        if idist.get_rank() > 0:
            return
        summary: dict[str, Any] = {**self.note, "sections": len(rows), "thresholds": self.thresholds}
        for name in self.results:
            pooled = jaccard(*(sum(row[f"{name}_{kind}"] for row in rows) for kind in ("true", "missed", "false")))
            each = [row[f"{name}_jaccard"] for row in rows if not np.isnan(row[f"{name}_jaccard"])]
            mean = float(np.mean(each)) if each else float("nan")
            # JSON knows no NaN
            summary[name] = {"jaccard": pooled if each else None, "mean_over_sections": mean if each else None}
            logger.info(
                "Jaccard %s: %.4f over all pixels of %d sections, %.4f on average",
                name.replace("_", " "),
                pooled,
                len(rows),
                mean,
            )
        write_json(self.output_dir / "jaccard.json", summary)
        write_atomically(self.output_dir / "jaccard.csv", lambda path: _write_csv(path, rows))
        logger.info("Figures and overlay pictures: %s", self.output_dir)


def _write_csv(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
