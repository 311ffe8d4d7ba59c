"""What several tests need."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

# before PyTorch and ITK are imported: workers of pytest-xdist share the cores
for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import pytest

from bundle.data.phantom import phantom
from scripts.io import write_section

ROOT = Path(__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Keep the order below, where pytest-xdist would put files with few tests, however slow, last."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that no worker is left alone with one at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def no_power_cuts() -> Iterator[None]:
    """Leave files to the cache of the system: to wait for the disk helps only where the power fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def tiny_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of sections of 96x96 pixels: 2 for training, 2 for validation, 2 for test."""
    folder = tmp_path_factory.mktemp("data") / "phantom"
    phantom(output=str(folder), seed=1, size=96, sections=(2, 2, 2))
    return folder


@pytest.fixture
def section() -> np.ndarray:
    """A section of 20x30 pixels whose axes cannot be taken for each other."""
    x, y = np.mgrid[:20, :30]
    return (5 * x + 3 * y).astype(np.uint8)


@pytest.fixture
def labelled(tmp_path: Path, section: np.ndarray) -> Path:
    """A folder with one section, its label, and a list that is still to be written."""
    write_section(tmp_path / "image.png", section)
    write_section(tmp_path / "label.png", np.where(section > 60, 255, 0).astype(np.uint8))
    return tmp_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a disk of a few bytes; skips where that is not allowed."""
    mounted = []

    def mount(size: int) -> Path:
        disk = tmp_path / f"disk{len(mounted)}"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a small disk cannot be mounted here")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", "-l", str(disk)], check=True)
