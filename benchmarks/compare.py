"""How fast two checkouts of the project segment the same section, file to file, by turns.

    git worktree add /tmp/before <commit>
    python -m benchmarks.compare /tmp/before . [--section section.tif] [--pixel_size 5] [--use_crf False] [--repeats 3]

Both run `python -m monai.bundle run inference` with their own shipped weights, one after the other, so that what else
the machine does meets both. Printed are the median seconds of each, their ratio, the peak memory of all processes of a
run together (what they share counted once), and on how many pixels the masks agree. Whether all else is equal is told
by `benchmarks.compare_checkouts`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import fire
import numpy as np

from benchmarks.section_cost import tissue
from bundle.runs import hardware
from scripts.io import read_section, write_section


def compare(
    before: str,
    after: str,
    section: str | None = None,
    size: str = "8624x8416",
    pixel_size: float = 5.0,
    use_crf: bool = True,
    repeats: int = 3,
) -> None:
    """Time two checkouts.

    Args:
        before: root of the first checkout.
        after: root of the second.
        section: file of a section; phantom tissue if there is none.
        size: width and height of the phantom tissue.
        pixel_size: of the section, nanometres.
        use_crf: whether the CRF refines the scores.
        repeats: runs of each, by turns.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(section).resolve() if section else Path(folder) / "section.tif"
        if not section:
            write_section(path, tissue(*map(int, size.split("x"))))
        runs: dict[str, list[tuple[float, int]]] = {"before": [], "after": []}
        for repeat in range(repeats):
            for name, root in (("before", before), ("after", after)):
                runs[name].append(_run(Path(root), path, Path(folder) / name, pixel_size, use_crf))
                print(f"{repeat + 1} {name}: {runs[name][-1][0]:.1f} s, {runs[name][-1][1] / 1e9:.2f} GB", flush=True)
        masks = [read_section(next((Path(folder) / name).glob("*_mitochondria.*"))) > 0 for name in runs]
    seconds = {name: statistics.median(second for second, _ in found) for name, found in runs.items()}
    pixels = masks[0].size
    print(f"{pixels / 1e6:.1f} megapixels of {pixel_size:g} nm, {'with' if use_crf else 'without'} CRF, {hardware()}")
    for name, found in runs.items():
        peak = max(size for _, size in found) / 1e9
        print(f"{name}: median {seconds[name]:.1f} s, {seconds[name] / pixels * 1e6:.2f} s/MP, {peak:.2f} GB at most")
    print(f"before / after: {seconds['before'] / seconds['after']:.1f}")
    print(f"equal pixels: {100 * np.mean(masks[0] == masks[1]):.3f} %; {100 * masks[1].mean():.1f} % are mitochondria")


def _run(root: Path, section: Path, output: Path, pixel_size: float, use_crf: bool) -> tuple[float, int]:
    """Segment a section: seconds, and bytes at most."""
    command = [sys.executable, "-m", "monai.bundle", "run", "inference", "--config_file", "configs/inference.json"]
    settings = {"dataset_dir": section, "output_dir": output, "pixel_size": pixel_size, "use_crf": use_crf}
    given = [text for key, value in {**settings, "overwrite": True}.items() for text in (f"--{key}", str(value))]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, *given], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peak = [0]

    def watch() -> None:
        while process.poll() is None:
            began = time.perf_counter()
            peak[0] = max(peak[0], sum(map(_memory, _family(process.pid))))
            # the system goes through all pages for it, and lets the process wait: for no more than 2 % of its time
            time.sleep(max(0.1, 50 * (time.perf_counter() - began)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    text, _ = process.communicate()
    seconds = time.perf_counter() - start
    watcher.join()
    if process.returncode:
        sys.exit(f"{root}: {' '.join(command + given)} failed:\n{text[-2000:]}")
    return seconds, peak[0]


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    children = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += map(int, tasks.read_text().split())
        except OSError:  # it has ended
            continue
    return [pid, *(member for child in children for member in _family(child))]


def _memory(pid: int) -> int:
    """Bytes of a process; those that it shares with others in part."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    fire.Fire(compare)
