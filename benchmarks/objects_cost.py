"""What numbering and measuring costs: seconds, megapixels a second, and memory, on a stack of masks of tubes.

Run from the root of the bundle: ``python -m benchmarks.objects_cost [sections] [side]``.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bundle.runs import hardware
from scripts.io import write_section
from scripts.objects import MaskStack, ObjectAnalysis
from scripts.weights import git_revision

TUBES_PER_MEGAPIXEL = 30


def make(folder: Path, sections: int, side: int) -> None:
    """Write masks of tubes that run through the stack at random angles, 6 % of the area."""
    rng = np.random.default_rng(0)
    count = TUBES_PER_MEGAPIXEL * side**2 // 10**6
    start, slope = rng.uniform(0, side, (count, 2)), rng.normal(0, 6, (count, 2))
    radius, first = rng.uniform(15, 32, count), rng.integers(-20, sections, count)
    for z in range(sections):
        mask = np.zeros((side, side), np.uint8)
        for i in np.flatnonzero((first <= z) & (z < first + 40)):
            x, y = ((start[i] + slope[i] * (z - first[i])) % side).astype(int)
            r = int(radius[i])
            left, top = max(0, x - r), max(0, y - r)
            a, b = np.ogrid[left : min(side, x + r + 1), top : min(side, y + r + 1)]
            mask[left : x + r + 1, top : y + r + 1] |= ((a - x) ** 2 + (b - y) ** 2 <= r**2).astype(np.uint8)
        write_section(folder / f"{z:04d}.png", 255 * mask)


def analyse(masks: str, output: str) -> None:
    """Run one analysis, and print its cost."""
    begin = time.monotonic()
    stack = MaskStack(masks)
    analysis = ObjectAnalysis(stack, output, pixel_size=5, section_thickness=50)
    analysis.check()
    analysis.run()
    seconds = time.monotonic() - begin
    height, width = stack.shape
    megapixels = len(stack) * height * width / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{len(stack)} sections of {width}x{height}: {seconds:.0f} s, {megapixels / seconds:.1f} megapixels a second, "
        f"{megapixels / time.process_time():.1f} a second of processor time, {memory:.2f} GB"
    )
    print(f"{hardware()}, commit {git_revision()}")


def main(sections: int = 200, side: int = 2048) -> None:
    """Make a stack, and analyse it in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        masks = Path(folder) / "masks"
        make(masks, sections, side)
        subprocess.run([sys.executable, __file__, "--analyse", str(masks), str(Path(folder) / "out")], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--analyse"]:
        analyse(*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:]))
