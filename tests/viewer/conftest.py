"""A stack of phantom sections with known mitochondria."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bundle.data.phantom import phantom
from scripts.io import read_section

COUNT, SIZE = 3, 256


@pytest.fixture(scope="session")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data set of three neighbouring sections for training."""
    folder = tmp_path_factory.mktemp("tissue")
    phantom(output=str(folder), seed=3, size=SIZE, sections=(COUNT, 1, 1))
    return folder


@pytest.fixture
def stack(tissue: Path, tmp_path: Path) -> Path:
    """A folder of the sections, a copy."""
    folder = tmp_path / "stack"
    folder.mkdir()
    for file in sorted((tissue / "images").glob("training_*.png")):
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="session")
def truth(tissue: Path) -> np.ndarray:
    """Bool (sections, height, width)."""
    return np.array([read_section(file).T > 0 for file in sorted((tissue / "labels").glob("training_*.png"))])
