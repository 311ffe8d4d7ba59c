"""A training on reviewed regions, until its weights are used or thrown away."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

from .project import Project

__all__ = ["Teaching"]


class Teaching:
    """The data set, the training and its weights, in a folder of their own, which the training makes.

    Args:
        project: with reviewed regions.

    Attributes:
        folder: of all of it.
    """

    def __init__(self, project: Project) -> None:
        self.folder = project.folder / "trainings" / time.strftime("%Y-%m-%d_%H%M%S")
        self.best = self.folder / "best.pt"

    def stats(self) -> dict[str, Any] | None:
        """Tell what was reached so far, or None if nothing was: see `scripts.handlers.PromoteBestWeights`."""
        record = self.folder / "run" / "stats.json"
        return json.loads(record.read_text()) if self.best.exists() and record.exists() else None

    def summary(self) -> str:
        """Tell what was reached, for a person."""
        stats = self.stats()
        parts = json.loads((self.folder / "datalist.json").read_text())
        apart = parts["validation"] != parts["training"]
        place = "on regions left out" if apart else "on the same regions (of three, one is left out)"
        return f"Jaccard {place}: {stats['deployed_before']:.3f} before, {stats['best_metric']:.3f} after"

    def throw_away(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)
