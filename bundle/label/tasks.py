"""What MONAI Label asks of the bundle: masks, the next section to label, and training on the labels."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.tasks.infer.bundle import BundleInferTask
from monailabel.tasks.scoring.epistemic_v2 import EpistemicScoring
from monailabel.tasks.train.bundle import BundleTrainTask

from bundle.label.datastore import UNKNOWN
from bundle.label.serve import NO_LABELS
from scripts.config import compare_settings, first_cause, require_between
from scripts.inference import dropout_uncertainty
from scripts.io import holdout_split, parse_pixel_size, select_query, write_json
from scripts.resampling import at_pixel_size

__all__ = ["BatchSegmentation", "FineTuning", "MostInformative", "Segmentation", "Uncertainty"]

logger = logging.getLogger(__name__)

DAY = 24 * 60 * 60


def chosen_pixel_size(asked: Any, conf: dict[str, str]) -> list[float] | None:
    """Choose the pixel size that a request is for.

    Args:
        asked: in the request, nanometres, a number or [x, y]. None, 0 and an empty text, which 3D Slicer makes of
            an empty field, leave it to the folder.
        conf: of the server, with the folder's under `pixel_size`.

    Returns:
        [x, y] in nanometres, or None where it is not known.

    Raises:
        ValueError: it is no pixel size.
    """
    if asked in (None, 0, ""):
        return json.loads(conf.get("pixel_size", "null"))
    return parse_pixel_size(asked, "pixel_size")


def offered_pixel_size(conf: dict[str, str]) -> float:
    """Give the folder's pixel size for a table of settings, or 0, "the folder's", where one number does not tell it.

    3D Slicer makes a menu of a list, and sends text instead of a number where the default is null.
    """
    folder = chosen_pixel_size(None, conf)
    return folder[0] if folder and folder[0] == folder[1] else 0.0


class MostInformative(Strategy):
    """Propose a section that the network is unsure of, far from those with a label; see `scripts.io.select_query`."""

    def __init__(self) -> None:
        super().__init__("A section that the network is unsure of, far from those with a label")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Choose a section, one that was not proposed in the last day if there are such."""
        unlabelled = datastore.get_unlabeled_images()
        if not unlabelled:
            return None
        info = {name: datastore.get_image_info(name) for name in unlabelled}
        proposed = {n: i.get("strategy", {}).get(request["strategy"], {}).get("ts", 0) for n, i in info.items()}
        recent = {name for name, when in proposed.items() if time.time() - when < DAY}
        fresh = [name for name in unlabelled if name not in recent] or [min(proposed, key=proposed.__getitem__)]
        # before the first scoring has ended, the distances decide
        scored = any("epistemic_entropy" in info[name] for name in fresh)
        uncertainty = {name: info[name].get("epistemic_entropy", 0.0 if scored else 1.0) for name in fresh}
        name = select_query(uncertainty, [*datastore.get_labeled_images(), *recent - {*fresh}])
        return {"id": name, "epistemic_entropy": uncertainty[name]}


class Segmentation(BundleInferTask):
    """Masks as ``run inference`` makes them.

    Args:
        path: folder of the bundle.
        conf: of the server.
    """

    def __init__(self, path: str, conf: dict[str, str]) -> None:
        super().__init__(path, conf, load_strict=True)
        self._conf = conf
        self._config["pixel_size"] = offered_pixel_size(conf)

    @property
    def network_pixel_size(self) -> float:
        """Nanometres of the pixels that the network wants to see."""
        return self.bundle_config.get_parsed_content("network_pixel_size")

    def config(self) -> dict[str, Any]:
        """Give the settings, with the weights that are there now."""
        weights = sorted((path.name for path in Path(self.path[0]).parent.glob("*.pt")), key=len)
        return {**super().config(), "model_filename": weights}

    def pre_transforms(self, data: dict[str, Any] | None = None) -> Sequence[Callable]:
        """Give the transforms before the network, if the settings of the request are valid."""
        defaults = {key: [default] for key, default in self.displayable_configs.items() if key != "pixel_size"}
        compare_settings({key: data[key] for key in defaults}, defaults)
        data["pixel_size"] = chosen_pixel_size(data["pixel_size"], self._conf) or 0.0
        transforms = super().pre_transforms(data)
        self.inferer(data)  # what is out of range is refused here, before the network has run
        self.post_transforms(data)
        return transforms

    def _get_network(self, device: str, data: dict[str, Any] | None) -> torch.nn.Module:
        chosen = (data or {}).get("model_filename") or "model.pt"
        chosen = chosen if isinstance(chosen, str) else chosen[0]
        if not (Path(self.path[0]).parent / chosen).is_file():
            # MONAI Label would go on, with other weights or with random ones
            raise FileNotFoundError(f"{Path(self.path[0]).parent} holds no weights {chosen!r}")
        return super()._get_network(device, data)


class BatchSegmentation(BatchInferTask):
    """Masks for many sections, where one that cannot be read does not stop the others."""

    def __call__(self, request: dict[str, Any], datastore: Datastore, infer: Callable) -> dict[str, Any]:
        """Segment the sections of a request.

        Raises:
            ValueError: sections failed; the message says which, and why. The others have their masks.
        """
        failed = []

        def attempt(request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
            try:
                return infer(request, datastore)
            except Exception as error:
                failed.append(f"{first_cause(error)}")
                logger.error("%s: %s", request["image"], failed[-1])
                return {}

        # MONAI Label deals sections out to GPUs, also where there are none, and to threads that share one config
        several = request.get("multi_gpu", True) and torch.cuda.device_count() > 1
        request = {**request, "multi_gpu": several, "max_workers": 1}
        results = super().__call__(request, datastore, attempt)
        if failed:
            raise ValueError(f"{len(failed)} of {len(results)} sections failed: {'; '.join(failed)}")
        return results


class Uncertainty(EpistemicScoring):
    """Epistemic uncertainty by the dropout of the network; see `scripts.inference.dropout_uncertainty`."""

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Score the sections without a label that the weights in use have not scored."""
        return super().__call__({**request, "max_workers": 1}, datastore)  # configs are parsed by one thread at a time

    def run_scoring(self, image_id: str, simulation_size: int, model_ts: int, datastore: Datastore) -> None:
        """Score a section and keep the score beside it."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            request = {**self.infer_task.config(), "image": datastore.get_image_uri(image_id), "device": device}
            data = self.infer_task.run_pre_transforms(request, self.infer_task.pre_transforms(request))
            network = self.infer_task._get_network(device, None)
            section = data["image"]
            section = at_pixel_size(
                section.as_tensor()[None], section.meta["pixel_size"], self.infer_task.network_pixel_size
            )[0]
            score = dropout_uncertainty(network, section.to(device), samples=simulation_size)
        except Exception as error:  # one section must not keep the others from being scored
            logger.error("EPISTEMIC:: %s: %s", image_id, first_cause(error))
            return
        logger.info("EPISTEMIC:: %s => %.3g nats per pixel", image_id, score)
        datastore.update_image_info(image_id, {self.key_output_entropy: score, self.key_output_ts: model_ts})


class FineTuning(BundleTrainTask):
    """Training on the labels of the sections, from weights that are there.

    A part of each labelled section is held out. New weights replace `models/model.pt` as soon as they are better there
    than those; each training also leaves its best weights in a file of its own beside it.
    """

    OPTIONS = {"learning_rate": 3e-4, "patches_per_section": 16, "patch_size": 128, "val_interval": 5}  # noqa: RUF012

    def config(self) -> dict[str, Any]:
        """Give the options and their defaults."""
        unused = ("multi_gpu", "gpus", "tracking", "tracking_uri", "tracking_experiment_name", "run_id")
        return {**{k: v for k, v in super().config().items() if k not in unused}, **self.OPTIONS} | {
            "pixel_size": offered_pixel_size(self.conf)
        }

    def stats(self) -> dict[str, Any]:
        """Give what the last training achieved."""
        trainings = sorted(self._trainings.glob("*/stats.json"))
        return json.loads(trainings[-1].read_text()) if trainings else {}

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train.

        Raises:
            ValueError: an option is out of its range, or there is nothing to train on.
            RuntimeError: from the config, with the cause chained.
        """
        defaults = {key: value[0] if isinstance(value, list) else value for key, value in self.config().items()}
        self._request = {**defaults, **request, "multi_gpu": False}
        compare_settings({k: self._request[k] for k in self.OPTIONS}, {k: [v] for k, v in self.OPTIONS.items()})
        self._pixel_size = chosen_pixel_size(self._request["pixel_size"], self.conf)
        share, epochs = self._request["val_split"], self._request["max_epochs"]
        require_between(0, 1, val_split=share)
        if type(epochs) is not int or epochs < 1:
            raise ValueError(f"max_epochs must be at least 1, but got {epochs!r}")
        self._folder = self._trainings / time.strftime("%Y-%m-%d_%H%M%S")
        super().__call__(self._request, datastore)
        (self._folder / "checkpoint.pt").unlink()  # nothing resumes it: the next training starts from the weights
        stats = self.stats()
        logger.info(
            "On what was held out, the weights that were in use have %.4f, the best of this training %.4f: they %s",
            stats["deployed_before"],
            stats["best_metric"],
            "are in use now" if stats["published"] else "stay beside those in use",
        )
        return stats

    @property
    def _trainings(self) -> Path:
        return Path(self.bundle_path) / "trainings"

    def _partition_datalist(self, datalist: list[dict], request: dict[str, Any], shuffle: bool = False) -> tuple:
        if not datalist:
            raise ValueError(NO_LABELS)
        datalist = [{**item, "ignore_value": UNKNOWN} for item in datalist]
        # the same in each training, or weights would be judged by what they have learned
        record = self._trainings.parent / "held_out.json"
        known = json.loads(record.read_text()) if record.exists() else {}
        training, validation = holdout_split(datalist, request["val_split"], known)
        write_json(record, {**known, **{Path(item["image"]).name: item["region"] for item in validation}})
        return training, validation

    def _load_checkpoint(self, model_pytorch: str, pretrained: bool, train_handlers: list) -> None:
        # MONAI Label's own handler loads whatever fits; that of the config refuses what does not
        self._initial = model_pytorch if pretrained else None

    def _update_overrides(self, overrides: dict[str, Any]) -> dict[str, Any]:
        models = Path(self.bundle_path) / "models"
        publish = {
            "_target_": "scripts.handlers.PromoteBestWeights",
            "folder": "@ckpt_dir",
            "deployed": str(models / "model.pt"),
            "copy": str(models / f"{self._folder.name}.pt"),
            "network": "$@average.ema_model",
            "evaluator": "@validate#evaluator",
        }
        overrides["train#handlers"] = [*overrides["train#handlers"], publish]
        overrides.update({key: self._request[key] for key in self.OPTIONS})
        overrides.update(
            {"ckpt_dir": str(self._folder), "init_checkpoint": self._initial, "pixel_size": self._pixel_size}
        )
        return overrides
