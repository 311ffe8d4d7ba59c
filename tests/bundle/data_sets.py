"""What the commands that make data sets have written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
