"""Weights and the record beside them, which says what they need: ``model.json`` beside ``model.pt``."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import torch

from scripts.io import read_list, write_atomically, write_json

__all__ = [
    "copy_weights",
    "default_settings",
    "digest_of",
    "git_revision",
    "read_record",
    "record_path",
    "save_weights",
    "settings_of",
    "sha256_of",
    "training_data",
    "training_record",
]

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]


def record_path(checkpoint: str | Path) -> Path:
    """Give the place of the record of weights.

    Args:
        checkpoint: file of weights.

    Returns:
        The JSON file beside it.
    """
    return Path(checkpoint).with_suffix(".json")


def read_record(checkpoint: str | Path) -> dict[str, Any]:
    """Read what is recorded of weights.

    Args:
        checkpoint: file of weights.

    Returns:
        The record: `sha256`, `settings`, and where the weights come from. The checkpoint of a training holds its own.
        Empty where there is none.

    Raises:
        ValueError: the record is damaged, or that of other weights; the message names both files.
    """
    path = record_path(checkpoint)
    if not Path(checkpoint).is_file():
        return {}
    if not path.is_file():
        return _kept_in(checkpoint)
    for _ in range(2):  # once more if both were exchanged in between
        record = _parsed(path)
        digest = sha256_of(checkpoint)
        if record["sha256"] == digest:
            return record
    raise ValueError(
        f"{path}: is the record of other weights: its sha256 must be that of {checkpoint}, {digest[:12]}..., but got "
        f"{str(record['sha256'])[:12]}...; put the right record there, or take it away"
    )


def _kept_in(checkpoint: str | Path) -> dict[str, Any]:
    """Read the record that a training keeps in its checkpoint."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whoever loads the weights says what is wrong with them
        return {}
    record = state.get("record") if isinstance(state, dict) else None
    return {**record, "sha256": sha256_of(checkpoint)} if isinstance(record, dict) else {}


def _parsed(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: must be the record of the weights beside it, but is no JSON: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict) or "sha256" not in record:
        raise ValueError(f"{path}: must be the record of the weights beside it, with their 'sha256' and 'settings'")
    known = default_settings()
    for key in record["settings"]:
        if key not in known:
            raise ValueError(f"{path}: its settings must be of {', '.join(known)}, but got {key!r}")
    return record


def settings_of(
    checkpoint: str | Path | None,
    defaults: Mapping[str, Any] | None = None,
    resumed: str | Path | None = None,
) -> dict[str, Any]:
    """Give the settings that weights need: their network, how it sees sections, and what turns scores into a mask.

    Args:
        checkpoint: file of weights, or None where a training starts from random ones.
        defaults: what differs from ``defaults`` in ``configs/inference.json``, for weights without a record.
        resumed: checkpoint of the training that goes on, if one does; its record comes first.

    Returns:
        The settings that ``configs/inference.json`` lists as ``defaults``, from the record where it has them, and as
        ``file`` the path of the record, None without one.

    Raises:
        ValueError: see `read_record`.
    """
    settings = {**default_settings(), **(defaults or {})}
    for source in (resumed, checkpoint):
        record = {} if source is None else read_record(source)
        if record:
            path = record_path(source)
            return {**settings, **record["settings"], "file": str(path if path.is_file() else source)}
    if checkpoint is not None:
        logger.info("%s has no record (%s): the settings of the config serve it", checkpoint, record_path(checkpoint))
    return {**settings, "file": None}


def default_settings() -> dict[str, Any]:
    """Read the settings of weights without a record, from ``configs/inference.json``: their one definition."""
    return json.loads((ROOT / "configs" / "inference.json").read_text())["defaults"]


def save_weights(weights: Mapping[str, torch.Tensor], path: str | Path, record: Mapping[str, Any] | None) -> None:
    """Write weights and their record; each file is complete or absent at any time.

    Args:
        weights: state dict.
        path: file to write.
        record: what is to be recorded besides the hash, `settings` among it; None leaves no record.

    Raises:
        OSError: a file cannot be written.
    """
    _write(lambda partial: torch.save(weights, partial), path, record)


def copy_weights(source: str | Path, target: str | Path) -> None:
    """Copy weights with their record, as `save_weights` writes.

    Args:
        source: file of weights.
        target: file to write.

    Raises:
        ValueError: the record of the source is not that of its weights.
        OSError: a file cannot be read or written.
    """
    _write(lambda partial: shutil.copyfile(source, partial), target, read_record(source) or None)


def _write(write: Callable[[Path], Any], path: str | Path, record: Mapping[str, Any] | None) -> None:
    def both(partial: Path) -> None:
        write(partial)
        if record is None:
            record_path(path).unlink(missing_ok=True)
            return
        with open(partial, "rb") as file:
            os.fsync(file.fileno())  # so that the weights get their name right after the record got its own
        write_json(record_path(path), {**record, "sha256": sha256_of(partial)})

    write_atomically(path, both)


def training_data(*datalists: str | Path) -> dict[str, str]:
    """Name the sets that weights are trained on, with their licences.

    Args:
        *datalists: lists of sections. One that does not exist, where a program hands the sections over, names nothing.

    Returns:
        Licence by name of the set, as the lists state them.
    """
    contents = {Path(path): read_list(Path(path)) for path in datalists if Path(path).is_file()}
    return {
        content.get("name", path.resolve().parent.name): content.get("licence", "not stated")
        for path, content in contents.items()
    }


def training_record(
    settings: Mapping[str, Any],
    record: Mapping[str, Any],
    datalist: str | Path,
    seed: int,
    init_checkpoint: str | Path | None = None,
    patch_size: int | None = None,
    encoder_weights: str | Path | None = None,
) -> dict[str, Any]:
    """Make the record of a training's weights.

    Args:
        settings: of the network and of how it sees sections; keys of `default_settings`.
        record: the other settings, see `settings_of`.
        datalist: list of the sections that it is trained on.
        seed: of the training.
        init_checkpoint: what it starts from; the sets that these were trained on are named too.
        patch_size: of the training.
        encoder_weights: what its encoder starts from, see `scripts.networks.pretrained`.

    Returns:
        The record, without the hash of the weights.
    """
    before = {**_trained_on(encoder_weights), **_trained_on(init_checkpoint)}
    return {
        "settings": {key: settings.get(key, record[key]) for key in default_settings()},
        "training_data": {**before, **training_data(datalist)},
        "seed": seed,
        "patch_size": patch_size,
        "datalist_sha256": _digest_of_list(datalist),
        "init_checkpoint_sha256": digest_of(init_checkpoint),
        "commit": git_revision(),
        "date": str(date.today()),
    }


def _digest_of_list(datalist: str | Path) -> str | None:
    """Compute the SHA-256 of what a list says, however it is laid out, if there is one."""
    if not Path(datalist).is_file():
        return None
    return hashlib.sha256(json.dumps(read_list(datalist), sort_keys=True).encode()).hexdigest()


def _trained_on(weights: str | Path | None) -> dict[str, str]:
    """Name the sets that initial weights were trained on; without a record the weights themselves."""
    if weights is None:
        return {}
    digest = digest_of(weights)
    name = Path(weights).name if digest is None else f"{Path(weights).name}, sha256 {digest}"
    return read_record(weights).get("training_data") or {name: "not known"}


def git_revision() -> str | None:
    """Name the commit of the bundle, if it is a git repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:  # there is no git
        return None
    return done.stdout.strip() or None


def digest_of(checkpoint: str | Path | None) -> str | None:
    """Compute the SHA-256 of weights, if there are any: a server may hold others than those that a config names.

    Args:
        checkpoint: file of weights, or another.

    Returns:
        Hexadecimal digest, or None.

    Raises:
        OSError: the file cannot be read.
    """
    return sha256_of(checkpoint) if checkpoint is not None and Path(checkpoint).is_file() else None


def sha256_of(path: str | Path) -> str:
    """Compute the SHA-256 of a file.

    Args:
        path: the file.

    Returns:
        Hexadecimal digest.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
