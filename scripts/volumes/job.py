"""What a worker of a volume has to know, as a file that it reads wherever it runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.config import compare_settings
from scripts.io import write_json

__all__ = ["Job", "require_known", "submit"]


@dataclass(frozen=True)
class Job:
    """The segmentation of a volume.

    Attributes:
        config: file of the inference.
        settings: overrides of it.
        volume: what is segmented.
        output: where masks are written, a volume too.
        threads: of each worker on a CPU.
    """

    config: str
    settings: dict[str, Any]
    volume: str
    output: str
    threads: int

    @property
    def errors(self) -> Path:
        """Folder of what went wrong, a file for each block."""
        return Path(self.output) / ".errors"

    @property
    def measured(self) -> Path:
        """Folder of what is measured on whole sections, where blocks are parts of them."""
        return Path(self.output) / ".sections"

    def failures(self) -> list[str]:
        """What went wrong, a line for each block."""
        reports = sorted(self.errors.glob("*.txt")) if self.errors.is_dir() else []
        return [f"section {int(report.stem.split('_')[0])}: {report.read_text().strip()}" for report in reports]

    def save(self, path: Path) -> None:
        """Write it.

        Args:
            path: JSON file.
        """
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> Job:
        """Read what `save` wrote.

        Args:
            path: JSON file.

        Returns:
            The job.
        """
        return cls(**json.loads(Path(path).read_text()))


def require_known(settings: Mapping[str, Any], config: Path) -> None:
    """Refuse settings that a config does not know, or of another type; inside of groups it does so itself.

    Args:
        settings: overrides of the config.
        config: its file.

    Raises:
        ValueError: it does not know one.
        TypeError: one is of another type.
    """
    known = {name: [value] for name, value in json.loads(config.read_text()).items()}
    compare_settings({name: value for name, value in settings.items() if "#" not in name}, known)


def submit(command: str) -> None:
    """Start a worker elsewhere, and wait for its end.

    Args:
        command: of the shell.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    subprocess.run(command, shell=True, check=True)
