"""Blocks of a volume, and the files in which the engine marks those that are done."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import zarr

from scripts.io.volume import coarsest_pixel

__all__ = ["check_block_size", "reserve_marks"]


def check_block_size(size: Sequence[int], shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Check the size of blocks, and make them no larger than the volume.

    Args:
        size: sections, rows and columns.
        shape: of the volume, likewise.

    Returns:
        The size of the blocks, but for those at the end of an axis.

    Raises:
        ValueError: it is none, or files would be shared by blocks.
    """
    if not isinstance(size, list | tuple) or len(size) != 3 or not all(type(n) is int and n > 0 for n in size):
        raise ValueError(f"block_size must be sections, rows and columns, whole numbers from 1 on, but got {size!r}")
    coarsest = coarsest_pixel(shape)
    for name, side, length in zip(("rows", "columns"), size[1:], shape[1:], strict=True):
        if side < length and side % coarsest:
            raise ValueError(
                f"block_size must have multiples of {coarsest} {name}, which the coarsest resolution has as one pixel, "
                f"but got {side}"
            )
    depth, height, width = map(min, size, shape)
    return depth, height, width


def reserve_marks(path: Path, shape: tuple[int, int, int], block: tuple[int, int, int]) -> None:
    """Make the files as the engine makes them, but with room on the disk for every mark.

    The engine's own have none until a mark is written, and are mapped into memory: where the disk is full by then, the
    system ends the process.

    Args:
        path: folder, to be made.
        shape: of the volume: sections, rows and columns.
        block: likewise.

    Raises:
        OSError: there is no room.
    """
    count = tuple(math.ceil(length / side) for length, side in zip(shape, block, strict=True))
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        group = zarr.create_group(made)
        options = {"compressors": None, "filters": None, "config": {"write_empty_chunks": True}}
        for name, dtype in (("done", "uint8"), ("failures", "uint32")):
            group.create_array(name, shape=count, chunks=count, dtype=dtype, **options)[:] = 0
        os.replace(made, path)
