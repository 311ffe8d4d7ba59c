"""Loading the weights of a network."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.networks.pretrained import mismatch
from scripts.weights import record_path

__all__ = ["LoadWeights", "bare", "load_weights", "read_checkpoint", "read_weights"]

logger = logging.getLogger(__name__)


def load_weights(network: nn.Module, path: str | Path, averaged: bool = True) -> None:
    """Load the weights of a network, from a checkpoint of a training or a bare state dict.

    Args:
        network: the network, changed in place.
        path: file of ``torch.save``.
        averaged: which weights of a checkpoint that has both: their moving average, or the last ones.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no weights, or they do not fit the network; the message names the keys.
    """
    state = read_checkpoint(path)
    if isinstance(state, dict):
        state = state.get("network", state) if not averaged else state.get("average", state.get("network", state))
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path}: holds no weights of a network")
    found = mismatch(state, network.state_dict())
    if found:
        record = record_path(path)
        source = f", which {record} records," if record.is_file() else ""
        raise ValueError(f"{path}: these weights do not fit {type(network).__name__}{source} or its settings: {found}")
    network.load_state_dict(state)
    logger.info("Weights of %s", path)


class LoadWeights:
    """Load weights when an evaluation or inference starts.

    Args:
        network: the network.
        path: file of `TrainingCheckpoint` or ``torch.save``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `load_weights`.
    """

    def __init__(self, network: nn.Module, path: str | Path) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Register the handler.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.STARTED, lambda: load_weights(bare(self.network), self.path))


def bare(network: nn.Module) -> nn.Module:
    """Unwrap a network from DistributedDataParallel and torch.compile, which change its keys."""
    network = getattr(network, "module", network)
    return getattr(network, "_orig_mod", network)


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """Read weights alone, such as the best of a training, onto the CPU.

    Args:
        path: file of a state dict.

    Returns:
        The state dict.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.
    """
    state = read_checkpoint(path)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        what = "the checkpoint of a training" if isinstance(state, dict) and "network" in state else "something else"
        raise ValueError(f"{path}: must hold the weights of a network alone, as model.pt of a training, but got {what}")
    return state


def read_checkpoint(path: str | Path) -> Any:
    """Read a file of ``torch.save``, onto the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: torch cannot read it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path}: no such file of weights; `run training` makes them, `--checkpoint` names others"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path}: is no checkpoint that torch can read: {error}") from None
