"""MONAI Label's `monaibundle` app, with what annotating sections needs beside it.

The other bundles of a server are served as that app serves them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from monaibundle import MyApp
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from bundle.label.datastore import SectionStore
from bundle.label.tasks import BatchSegmentation, FineTuning, MostInformative, Segmentation, Uncertainty
from bundle.release.package import NAME

__all__ = ["SectionsApp"]

logger = logging.getLogger(__name__)


class SectionsApp(MyApp, MONAILabelApp):  # the server looks for a class with MONAILabelApp among its direct bases
    """The app."""

    def init_datastore(self) -> Datastore:
        """Make the store of sections and labels."""
        record = Path(self.studies) / "datastore_v2.json"
        try:
            json.loads(record.read_text() if record.exists() else "{}")
        except ValueError:  # MONAI Label writes it in place, and was killed; it finds sections and labels again
            logger.warning("%s is damaged, and moved to %s.damaged", record, record)
            record.replace(f"{record}.damaged")
        return SectionStore(
            self.studies,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def init_infers(self) -> dict[str, InferTask]:
        """Make what proposes masks."""
        return {**super().init_infers(), NAME: Segmentation(self.models[NAME], self.conf)}

    def init_trainers(self) -> dict[str, TrainTask]:
        """Make what trains."""
        return {**super().init_trainers(), NAME: FineTuning(self.models[NAME], self.conf)}

    def init_strategies(self) -> dict[str, Strategy]:
        """Make what proposes the next section."""
        return {**super().init_strategies(), "epistemic": MostInformative()}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """Make what measures how sure the network is of a section."""
        samples = int(self.conf.get("epistemic_samples", 20))
        return {**super().init_scoring_methods(), "epistemic": Uncertainty(self._infers[NAME], simulation_size=samples)}

    def init_batch_infer(self) -> Callable:
        """Make what segments all sections."""
        return BatchSegmentation()

    def _local_request(self, url: str, params: dict[str, Any] | None, action: str) -> Any:
        try:
            return super()._local_request(url, params, action)
        except requests.RequestException as error:  # the end of a training, whose weights are in use already
            logger.warning("%s was not started, the server does not answer at 127.0.0.1: %s", action, error)
            return None
