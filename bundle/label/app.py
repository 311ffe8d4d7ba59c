"""MONAI Label's `monaibundle` app, with what annotating sections needs beside it.

The other bundles of a server are served as that app serves them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests
import torch
from monaibundle import MyApp
from monailabel.config import settings
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import ImageNotFoundException
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.tasks.infer.bundle import BundleInferTask
from monailabel.tasks.scoring.epistemic_v2 import EpistemicScoring
from monailabel.tasks.train.bundle import BundleTrainTask

from bundle.label.serve import APP, NO_LABELS
from bundle.release.package import NAME
from scripts.config import compare_settings, first_cause, require_between
from scripts.inference import dropout_uncertainty
from scripts.io import (
    WRITTEN,
    binarize_label,
    hold_out,
    next_section,
    parse_pixel_size,
    read_header,
    read_section,
    split_suffix,
    write_json,
)
from scripts.resampling import at_pixel_size

__all__ = ["SectionsApp"]

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


class MostInformative(Strategy):
    """Propose a section that the network is unsure of, far from those with a label; see `scripts.io.next_section`."""

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
        name = next_section(uncertainty, [*datastore.get_labeled_images(), *recent - {*fresh}])
        return {"id": name, "epistemic_entropy": uncertainty[name]}


class SectionStore(LocalDatastore):
    """A folder of sections, which takes labels only if they can be trained on."""

    def get_image_uri(self, image_id: str) -> str:
        """Give the file of a section."""
        uri = super().get_image_uri(image_id)
        if not uri:
            raise ImageNotFoundException(f"{self._datastore_path} has no section named {image_id!r}")
        return uri

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Give what is known of a section, with a path for 3D Slicer, where the section lies alone in its folder.

        Slicer, told to open a picture, opens all in its folder whose names differ by a number, as one volume.
        """
        info = super().get_image_info(image_id)
        if info:
            source = Path(info["path"])
            alone = Path(self._datastore_path) / APP / "open" / image_id / source.name
            alone.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                alone.symlink_to(os.path.relpath(source, alone.parent))  # relative, as the folder may be moved
            info["path"] = str(alone)
        return info

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label, if it has the size of its section and the values of a mask, in place of an earlier one."""
        image = self.get_image_uri(image_id)
        section = read_header(image)
        if section.pages > 1:
            raise ValueError(f"{image}: is a stack of {section.pages} sections; a label needs a file of one section")
        mask = binarize_label(read_section(label_filename), f"the label of {image_id}")
        if mask.shape != (section.width, section.height):
            raise ValueError(
                f"the label of {image_id} has {mask.shape[0]}x{mask.shape[1]} pixels, the section "
                f"{section.width}x{section.height}"
            )
        label_id = super().save_label(image_id, label_filename, label_tag, label_info)
        folder = Path(self._datastore.label_path(label_tag))
        for suffix in WRITTEN:  # of another client, which would come back when this one is removed
            if suffix != split_suffix(label_filename)[1]:
                (folder / f"{label_id}{suffix}").unlink(missing_ok=True)
        return label_id

    def _list_files(self, path: str, patterns: Sequence[str]) -> dict[str, str]:
        files = [f for f in os.listdir(path) if f.lower().endswith(WRITTEN) and not f.startswith(".")]
        return {file: file for file in files}

    def _to_id(self, file: str) -> tuple[str, str]:
        stem, suffix = split_suffix(file)
        return stem, Path(file).name[-len(suffix) :]  # as it is written, with capitals


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
            raise ValueError(f"max_epochs has to be at least 1, got {epochs!r}")
        self._folder = self._trainings / time.strftime("%Y-%m-%d_%H%M%S")
        super().__call__(self._request, datastore)
        (self._folder / "checkpoint.pt").unlink()  # nothing resumes it: the next training starts from the weights
        stats = self.stats()
        logger.info(
            "On what was held out, the weights that were in use have %.4f, the best of this training %.4f: they %s",
            stats["in_use_before"],
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
        # the same in each training, or weights would be judged by what they have learned
        record = self._trainings.parent / "held_out.json"
        known = json.loads(record.read_text()) if record.exists() else {}
        training, validation = hold_out(datalist, request["val_split"], known)
        write_json(record, {**known, **{Path(item["image"]).name: item["region"] for item in validation}})
        return training, validation

    def _load_checkpoint(self, model_pytorch: str, pretrained: bool, train_handlers: list) -> None:
        # MONAI Label's own handler loads whatever fits; that of the config refuses what does not
        self._initial = model_pytorch if pretrained else None

    def _update_overrides(self, overrides: dict[str, Any]) -> dict[str, Any]:
        models = Path(self.bundle_path) / "models"
        publish = {
            "_target_": "scripts.handlers.PublishWeights",
            "folder": "@ckpt_dir",
            "in_use": str(models / "model.pt"),
            "copy": str(models / f"{self._folder.name}.pt"),
            "network": "$@average.ema_model",
            "evaluator": "@validate#evaluator",
        }
        overrides["train#handlers"] = [*overrides["train#handlers"], publish]
        overrides.update({key: self._request[key] for key in self.OPTIONS})
        overrides.update(
            {"ckpt_dir": str(self._folder), "initial_weights": self._initial, "pixel_size": self._pixel_size}
        )
        return overrides
