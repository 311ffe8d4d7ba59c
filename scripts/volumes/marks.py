"""The files in which the engine marks the blocks that are done."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import zarr

__all__ = ["reserve_marks"]


def reserve_marks(path: Path, blocks: tuple[int, ...]) -> None:
    """Make the files as the engine makes them, but with room on the disk for every mark.

    The engine's own have none until a mark is written, and are mapped into memory: where the disk is full by then, the
    system ends the process.

    Args:
        path: folder, to be made.
        blocks: how many there are along each axis.

    Raises:
        OSError: there is no room.
    """
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        group = zarr.create_group(made)
        options = {"compressors": None, "filters": None, "config": {"write_empty_chunks": True}}
        for name, dtype in (("done", "uint8"), ("failures", "uint32")):
            group.create_array(name, shape=blocks, chunks=blocks, dtype=dtype, **options)[:] = 0
        os.replace(made, path)
