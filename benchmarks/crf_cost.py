"""Time and memory of the fully connected CRF with its default parameters, as a Markdown table.

    python -m benchmarks.crf_cost --sizes 512,1024,2048,4096 --repeats 3

Linux only: it reads the memory in use from /proc.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import fire
import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from scripts.crf import dense_crf


def make_section(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make a stand-in for an equalised section and its probabilities: smooth tissue with grain.

    The cost depends on the image only by the number of lattice vertices, thus on grain and histogram.

    Args:
        size: width and height in pixels.
        seed: seed of the noise.

    Returns:
        Probabilities, (2, size, size), and image, (1, size, size), both float32 in [0, 1].
    """
    rng = np.random.default_rng(seed)

    def field(sigma: float) -> np.ndarray:
        noise = gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), sigma, mode="wrap")
        return noise / noise.std()

    tissue = field(3.0) + 0.5 * field(1.0)
    levels = np.quantile(tissue[::4, ::4], np.linspace(0, 1, 256))
    image = np.interp(tissue, levels, np.linspace(0, 1, 256)).astype(np.float32)
    foreground = 1 / (1 + np.exp(-3 * field(6.0)))
    return np.stack([1 - foreground, foreground]), image[np.newaxis]


def measure(size: int, repeats: int) -> tuple[float, float]:
    """Run the CRF; to be called in a process of its own, since the peak of a process never falls.

    Args:
        size: width and height in pixels.
        repeats: number of runs.

    Returns:
        Median time of a run in seconds, and the peak of memory above the inputs in bytes.
    """
    probabilities, image = make_section(size)
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = resident_pages * os.sysconf("SC_PAGE_SIZE")
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        dense_crf(probabilities, image)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return statistics.median(times), peak - before


def main(sizes: Sequence[int] = (512, 1024, 2048, 4096), repeats: int = 3) -> None:
    """Print the table.

    Args:
        sizes: widths of the square sections in pixels.
        repeats: number of runs of which the median time is taken.
    """
    rows = []
    for size in tqdm(sizes):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append((size, *pool.apply(measure, (size, repeats))))
    print("| section | time, s | s per megapixel | peak memory, GiB | bytes per pixel |")
    print("| --- | --- | --- | --- | --- |")
    for size, seconds, memory in rows:
        pixels = size**2
        print(
            f"| {size} × {size} | {seconds:.1f} | {seconds / pixels * 1e6:.2f} "  # noqa: RUF001 (multiplication sign)
            f"| {memory / 2**30:.2f} | {memory / pixels:.0f} |"
        )


if __name__ == "__main__":
    fire.Fire(main)
