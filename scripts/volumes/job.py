"""What a worker of a volume has to know, as a file that it reads wherever it runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.io import write_json

__all__ = ["Job"]


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
