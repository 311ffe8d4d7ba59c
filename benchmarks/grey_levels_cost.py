"""Time and memory of what is done to the grey levels of a section before the network, as a Markdown table.

    python -m benchmarks.grey_levels_cost --width 8624 --height 8416

Each row runs in a process of its own, on tissue-like noise, whole or with a white margin over a third. Linux only: it
reads the memory in use from /proc.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from pathlib import Path

import fire
import numpy as np

from benchmarks.crf_cost import make_section
from scripts.grey_levels import equalize, fill_outside, tissue_mask

TILE = 1024


def measure(width: int, height: int, dtype: str, margin: float) -> tuple[dict[str, float], float]:
    """Run all steps once; to be called in a process of its own, since the peak of a process never falls.

    Args:
        width: of the section in pixels.
        height: of the section in pixels.
        dtype: pixel type.
        margin: share of the section that is a white margin.

    Returns:
        Seconds of each step, and the peak of memory above the section itself, in bytes.
    """
    tile = (make_section(TILE)[1][0] * 200).astype(dtype)
    section = np.tile(tile, (-(-width // TILE), -(-height // TILE)))[:width, :height].copy()
    section[: int(margin * width)] = 255
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    times = [time.perf_counter()]
    tissue = tissue_mask(section, pixel_size=5.0)
    times.append(time.perf_counter())
    levels = equalize(section, tissue)
    times.append(time.perf_counter())
    fill_outside(levels, tissue)
    times.append(time.perf_counter())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    steps = ("tissue_mask", "equalize", "fill_outside")
    return dict(zip(steps, np.diff(times).tolist(), strict=True)), peak - before


def main(width: int = 8624, height: int = 8416) -> None:
    """Print the table.

    Args:
        width: of the section in pixels.
        height: of the section in pixels.
    """
    print("| section | margin | tissue_mask, s | equalize, s | fill_outside, s | peak, GB | bytes a pixel |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for dtype in ("uint8", "uint16", "float32"):
        for margin in (0.0, 1 / 3):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, memory = pool.apply(measure, (width, height, dtype, margin))
            figures = " | ".join(f"{value:.1f}" for value in seconds.values())
            size = f"{memory / 1e9:.2f} | {memory / (width * height):.0f}"
            print(f"| {width} by {height}, {dtype} | {margin:.0%} | {figures} | {size} |", flush=True)


if __name__ == "__main__":
    fire.Fire(main)
