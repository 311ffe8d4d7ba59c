"""What it costs to segment a volume in blocks, by one worker and by two, and what of it is the engine's own.

Run from the root of the bundle: `python -m benchmarks.volume_cost [--sections 20] [--side 4096] [--workers 1,2]
[--pixel_size 5] [--use_crf True] [--block_size "[1,8704,8704]"] [--output docs/results/volume_cost]`. Sections are
phantom tissue, repeated to their size. Printed are megapixels a second from start to end, which counts the start of the
workers, and after the first block of each worker, which does not; the peak memory of a worker; and the engine's share:
the time for which it keeps a worker from one block to the next, measured on blocks that do nothing, over the time of a
block of 2048x2048 pixels as its pixels cost here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import fire
import numpy as np

from bundle.runs import hardware
from scripts.io import write_json, write_text
from scripts.io.volume import Volume
from scripts.phantom import PhantomTissue, acquire
from scripts.weights import git_revision

ROOT = Path(__file__).parents[1]
TRIVIAL = 400
"""Blocks that do nothing."""


def nothing(block: object) -> None:
    """Do nothing."""


def main(
    sections: int = 20,
    side: int = 4096,
    workers: tuple[int, ...] = (1, 2),
    pixel_size: float = 5.0,
    use_crf: bool = True,
    block_size: tuple[int, int, int] = (1, 8704, 8704),
    output: str | None = None,
) -> None:
    """Measure, print, and write the figures.

    Args:
        sections: of the volume.
        side: width and height of a section in pixels.
        workers: numbers of workers to compare.
        pixel_size: in nanometres.
        use_crf: whether masks are refined.
        block_size: sections, rows and columns of a block.
        output: path without suffix for the figures in JSON and Markdown.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder) / "sections.zarr"
        make(volume, sections, side, pixel_size)
        for count in [workers] if isinstance(workers, int) else workers:
            rows.append(
                {"workers": count, **measured(volume, Path(folder), (sections, side), count, use_crf, block_size)}
            )
            rows[-1]["engine_share_at_2048"] = engine(count, Path(folder)) / (2048**2 / 1e6 * rows[-1]["s_per_mp"])
            print(rows[-1], flush=True)
    lines = ["| workers | s | MP/s, all | MP/s, running | peak GB of a worker | engine's share |", "| --- " * 6 + "|"]
    lines += [
        f"| {r['workers']} | {r['seconds']:.0f} | {r['mp_per_s']:.2f} | {r['mp_per_s_running']:.2f} | "
        f"{r['worker_gb']:.2f} | {100 * r['engine_share_at_2048']:.2f} % |"
        for r in rows
    ]
    about = (
        f"{sections} sections of {side}x{side} pixels of {pixel_size:g} nm, with{'' if use_crf else 'out'} the CRF, "
        f"in blocks of {block_size[0]}x{block_size[1]}x{block_size[2]}; "
        f"{hardware()}, commit {git_revision()}."
    )
    print("\n".join([*lines, "", about]))
    if output is not None:
        write_json(f"{output}.json", {"about": about, "rows": rows})
        write_text(f"{output}.md", "\n".join([*lines, "", about, ""]))


def make(path: Path, sections: int, side: int, pixel_size: float) -> None:
    """Write a volume of phantom tissue."""
    tile = 768
    tissue = PhantomTissue(0, (tile, tile), sections, 5.0, 50.0)
    volume = Volume.create(path, (sections, side, side), np.uint8, (50, pixel_size, pixel_size))
    for page in range(sections):
        section = acquire(tissue.section(page)[0], np.random.default_rng(page))
        volume.write(page, np.tile(section.T, (-(-side // tile),) * 2)[:side, :side])
    volume.complete()


def measured(
    volume: Path, folder: Path, size: tuple[int, int], workers: int, use_crf: bool, block_size: tuple[int, int, int]
) -> dict[str, float]:
    """Segment the volume by the command of a user."""
    sections, side = size
    output = folder / f"by{workers}.zarr"
    command = [sys.executable, "-m", "monai.bundle", "run", "volume", "--config_file", "configs/volume.json"]
    command += ["--dataset_dir", str(volume), "--output_dir", str(output), "--workers", str(workers)]
    command += ["--use_crf", str(use_crf), "--number_objects", "False", "--block_size", str([*block_size])]
    start, peak, ended = time.monotonic(), [0], threading.Event()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        watcher = threading.Thread(target=watch, args=(process.pid, peak, ended))
        watcher.start()
        code = process.wait()
        seconds = time.monotonic() - start
        ended.set()
        watcher.join()
    if code:
        raise RuntimeError(f"the run ended with {code}")
    times = sorted(file.stat().st_mtime for file in (output / "0").glob("c/*/*/*"))
    megapixels, running = sections * side**2 / 1e6, times[-1] - times[workers - 1]
    share = 1 - workers / len(times)  # what was done meanwhile
    return {
        "seconds": seconds,
        "mp_per_s": megapixels / seconds,
        "mp_per_s_running": share * megapixels / running,
        "s_per_mp": workers * running / (share * megapixels),
        "worker_gb": peak[0] / 1e9,
    }


def watch(process: int, peak: list[int], ended: threading.Event) -> None:
    """Note the highest peak of memory of the workers of a process."""
    while not ended.wait(0.2):
        for status in workers_of(process).values():
            if found := re.search(r"VmHWM:\s+(\d+)", status):
                peak[0] = max(peak[0], 1024 * int(found[1]))


def workers_of(process: int) -> dict[int, str]:
    """Find the workers that a run has started, on Linux.

    Args:
        process: number of the run.

    Returns:
        The content of `/proc/<number>/status` by the numbers of the processes.
    """
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, status = (folder / "cmdline").read_bytes(), (folder / "status").read_text()
        except OSError:  # it has ended
            continue
        if b"daisy._subprocess_worker" in words and f"PPid:\t{process}\n" in status:
            found[int(folder.name)] = status
    return found


def engine(workers: int, folder: Path) -> float:
    """Seconds of a worker for a block that does nothing."""
    import daisy.v2 as daisy
    from daisy.logging import set_log_basedir

    set_log_basedir(str(folder / "logs"))
    seconds = []
    for blocks in (workers, workers + TRIVIAL):  # the first is the start of the workers
        block = daisy.Roi((0, 0, 0), (1, 64, 64))
        task = daisy.Task(
            f"nothing{workers}x{blocks}",
            daisy.Roi((0, 0, 0), (blocks, 64, 64)),
            block,
            block,
            process_function=partial(nothing),
            read_write_conflict=False,
            max_workers=workers,
            tracking_path=str(folder / f"tracking{workers}x{blocks}"),
        )
        start = time.monotonic()
        daisy.run_blockwise(task, progress=False, summary=False, host="127.0.0.1")
        seconds.append(time.monotonic() - start)
    return workers * max(0.0, seconds[1] - seconds[0]) / TRIVIAL


if __name__ == "__main__":
    os.chdir(ROOT)
    fire.Fire(main)
