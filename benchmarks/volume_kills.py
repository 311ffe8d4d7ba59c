"""Kill runs of a volume at random times, and see whether they go on to the same masks.

Run from the root of the bundle: `python -m benchmarks.volume_kills [--kills 20] [--seed 0] [--block_size
"[1,8704,8704]"] [--output docs/results/volume_kills.txt]`. Each time a worker, or the whole run with its workers, is
killed by SIGKILL at a random moment between its first and its last block; a run that did not survive it is called
again. Masks are compared with those of a run that was left alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fire
import numpy as np

from bundle.runs import hardware
from scripts.io import find_sections, read_section, write_text
from scripts.weights import git_revision

from .volume_cost import make, workers_of

ROOT = Path(__file__).parents[1]
SECTIONS, SIDE = 12, 768


def main(
    kills: int = 20,
    seed: int = 0,
    block_size: tuple[int, int, int] = (1, 8704, 8704),
    output: str | None = None,
) -> None:
    """Kill, repeat, compare, and print a line for each.

    Args:
        kills: how many.
        seed: of the times and of what is killed.
        block_size: sections, rows and columns of a block.
        output: file for the lines.
    """
    rng = np.random.default_rng(seed)
    lines, equal = [], 0
    blocks = int(np.prod([-(-n // min(b, n)) for b, n in zip(block_size, (SECTIONS, SIDE, SIDE), strict=True)]))
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder) / "sections.zarr"
        make(volume, SECTIONS, SIDE, 5.0)
        expected, duration, first = undisturbed(volume, Path(folder) / "expected.zarr", block_size)
        for number in range(kills):
            target, whole = Path(folder) / "out.zarr", bool(rng.integers(2))
            after = rng.uniform(first, duration)
            runs, done = killed(volume, target, block_size, after, whole)
            same = np.array_equal(masks(target), expected)
            equal += same
            lines.append(
                f"{number + 1:2d}: {'the whole run' if whole else 'a worker'} killed after {after:.1f} s with {done} "
                f"of {blocks} blocks done; {runs} run(s); masks {'equal' if same else 'DIFFER'}"
            )
            print(lines[-1], flush=True)
            shutil.rmtree(target)
    lines += [
        "",
        f"{equal} of {kills} equal. {SECTIONS} sections of {SIDE}x{SIDE} pixels in {blocks} blocks, 2 workers; "
        f"seed {seed}; {hardware()}, commit {git_revision()}.",
        "",
    ]
    print(lines[-2])
    if output is not None:
        write_text(output, "\n".join(lines))


def masks(path: Path) -> np.ndarray:
    """Read all masks."""
    return np.stack([read_section(section) for section in find_sections(path)])


def start(volume: Path, output: Path, block_size: tuple[int, int, int]) -> subprocess.Popen:
    """Start a run as a user does, in a session of its own."""
    command = [sys.executable, "-m", "monai.bundle", "run", "volume", "--config_file", "configs/volume.json"]
    command += [
        "--dataset_dir",
        str(volume),
        "--output_dir",
        str(output),
        "--workers",
        "2",
        "--number_objects",
        "False",
        "--block_size",
        str([*block_size]),
    ]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet, start_new_session=True)


def undisturbed(volume: Path, output: Path, block_size: tuple[int, int, int]) -> tuple[np.ndarray, float, float]:
    """Masks of a run that is left alone, its seconds, and those until its first block."""
    begin = time.monotonic()
    process = start(volume, output, block_size)
    while not written(output):
        time.sleep(0.05)
    first = time.monotonic() - begin
    if process.wait():
        raise RuntimeError("a run that was left alone failed")
    return masks(output), time.monotonic() - begin, first


def written(output: Path) -> int:
    """How many blocks of single sections are there."""
    return len(list((output / "0").glob("c/*/*/*")))


def killed(volume: Path, output: Path, block_size: tuple[int, int, int], after: float, whole: bool) -> tuple[int, int]:
    """Kill a run, and call it until it ends well: how often it was called, and what was done when it was killed."""
    process = start(volume, output, block_size)
    time.sleep(after)
    done = written(output)
    if whole:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        for worker in [*workers_of(process.pid)][:1]:
            os.kill(worker, signal.SIGKILL)
    runs = 1
    while process.wait():
        process, runs = start(volume, output, block_size), runs + 1
        if runs > 3:
            raise RuntimeError("a run that was called again failed")
    return runs, done


if __name__ == "__main__":
    fire.Fire(main)
