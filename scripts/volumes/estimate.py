"""What the segmentation of a volume will cost, told before it begins."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .worker import Worker

if TYPE_CHECKING:
    from .segmentation import VolumeSegmentation

__all__ = ["estimate"]

BYTES_PER_PIXEL = 26
"""Of a block that a worker needs in memory at its most (docs/results/volume_cost_blocks.md)."""
BYTES_TO_MEASURE = 7
"""Likewise of a whole section, while its grey levels and tissue are measured."""
HALO = 300
"""Pixels around a block that the CRF sees, about."""
BYTES_OF_WORKER = 0.8e9
"""That a worker needs beside that: PyTorch, MONAI, the weights, features of a batch of windows."""


def estimate(segmentation: VolumeSegmentation) -> str:
    """Time one block, and tell what the run costs.

    Args:
        segmentation: that is to be run.

    Returns:
        Text for a person.

    Raises:
        RuntimeError: from the config, with the cause chained.
    """
    (depth, height, width), block = segmentation.shape, segmentation.block
    blocks = int(np.prod([-(-length // side) for length, side in zip(segmentation.shape, block, strict=True)]))
    part = (depth // 2, depth // 2 + 1, slice(0, block[1]), slice(0, block[2]))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "block.zarr"
        segmentation.create(output)
        worker = Worker(replace(segmentation.job, output=str(output)))
        worker.segment(*part)  # the first is slower: weights are laid out, loops compiled, the section is measured
        start = time.monotonic()
        worker.segment(*part)
        seconds = time.monotonic() - start
        results = [*output.glob("[0-9]*"), *output.glob("probability.zarr/[0-9]*")]
        written = sum(file.stat().st_size for level in results for file in level.rglob("*") if file.is_file())
    pixel, pixels = np.dtype(segmentation.sections[0].dtype).itemsize, height * width
    in_section = pixels / (block[1] * block[2])
    hours = seconds * in_section * depth / 3600
    lines = [
        f"{depth} sections of {width}x{height} pixels in {blocks} blocks of {block[0]}x{block[1]}x{block[2]} (z, y, x)",
        f"read: {depth * pixels * pixel / 1e9:.3g} GB; written: about {depth * in_section * written / 1e9:.3g} GB",
        f"memory of a worker: about {_memory(segmentation.shape, block) / 1e9:.2g} GB",
        f"one section: {seconds * in_section:.3g} s, {seconds * in_section / pixels * 1e6:.3g} s a megapixel, "
        f"{segmentation.job.threads} thread(s)",
        f"all of them: {hours:.3g} hours with one worker, {hours / segmentation.num_workers:.3g} with "
        f"{segmentation.num_workers}",
    ]
    if segmentation.cluster:
        lines.append(f"each worker is started by: {segmentation.command()}")
    return "\n".join(lines)


def _memory(shape: tuple[int, int, int], block: tuple[int, int, int]) -> float:
    """Bytes that a worker needs at its most."""
    rows, columns = (min(side + 2 * HALO, length) for side, length in zip(block[1:], shape[1:], strict=True))
    return BYTES_OF_WORKER + max(BYTES_PER_PIXEL * rows * columns, BYTES_TO_MEASURE * shape[1] * shape[2])
