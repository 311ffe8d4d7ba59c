"""Commands that train, at the smallest size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Settings of the smallest network."""
    return {
        "width": 0.125,
        "patch_size": 64,
        "network_pixel_size": 5.0,
        "num_workers": 0,
        "batch_size": 2,
        "device": "$torch.device('cpu')",
    }


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let nothing be written relative to the current folder, nor the way errors are printed be changed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.excepthook", lambda *_: None)
