"""A volume of noise in the place of that of the EPFL."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scripts.io import write_section


def make_epfl(folder: Path, stack: bool, starts: tuple[int, ...] = (0,)) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 165), dtype=np.uint8)
    if stack:
        write_section(folder / "training.tif", pixels)
        write_section(folder / "training_groundtruth.tif", (pixels > 128).astype(np.uint8))
    else:
        for number in (number for number in range(165) if number % 11 in starts):
            write_section(folder / f"images/{number:03d}.png", pixels[..., number])
            write_section(folder / f"labels/{number:03d}.png", (pixels[..., number] > 128).astype(np.uint8))
            write_section(folder / f"instances/{number:03d}.png", pixels[..., number] // 100)
    return folder
