"""What a synthetic section costs on one core, by kind of tissue, as a Markdown table.

Run from the root of the bundle: `python -m benchmarks.synthetic_cost --sections 40 --size 512 --pixel_size 10`. Times
are those of the processor, the least of three runs of each section, since other work on the machine slows the memory
down; the mean section is that of the mix of kinds that training sees.
"""

from __future__ import annotations

import statistics
import time

import cv2
import fire
from tqdm import tqdm

from scripts.synthetic import KINDS, synthetic_section

REPEATS = 3


def measure(kind: str, sections: int, size: int, pixel_size: float) -> list[float]:
    """Draw sections of one kind.

    Args:
        kind: of tissue.
        sections: number of sections, with seeds from 0 on.
        size: their width and height in pixels.
        pixel_size: in nm.

    Returns:
        Seconds of each, the least of `REPEATS` runs.
    """
    seconds = []
    for seed in range(sections):
        runs = []
        for _ in range(REPEATS):
            start = time.process_time()
            synthetic_section(seed, (size, size), pixel_size, kind)
            runs.append(time.process_time() - start)
        seconds.append(min(runs))
    return seconds


def main(sections: int = 40, size: int = 512, pixel_size: float = 10.0) -> None:
    """Print the table.

    Args:
        sections: number of sections of each kind.
        size: their width and height in pixels.
        pixel_size: in nm.
    """
    cv2.setNumThreads(1)
    megapixels = size**2 / 1e6
    for kind in KINDS:  # the textures are made once in a process
        measure(kind, 2, size, pixel_size)
    times = {kind: measure(kind, sections, size, pixel_size) for kind in tqdm(KINDS)}
    print(f"{sections} sections of {size} x {size} pixels of {pixel_size:g} nm of each kind, one thread\n")
    print("| kind | share | median, s per megapixel | slowest |")
    print("| --- | --- | --- | --- |")
    for kind, seconds in times.items():
        print(
            f"| {kind} | {KINDS[kind]:.2f} | {statistics.median(seconds) / megapixels:.3f} "
            f"| {max(seconds) / megapixels:.3f} |"
        )
    mean = sum(weight * statistics.fmean(times[kind]) for kind, weight in KINDS.items()) / megapixels
    print(f"| mean section | 1.00 | {mean:.3f}, thus {1 / mean:.1f} megapixels a second | |")


if __name__ == "__main__":
    fire.Fire(main)
