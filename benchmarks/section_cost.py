"""What it costs to segment a whole section, from file to file, on this machine.

Run from the root of the bundle: `python -m benchmarks.section_cost [--sizes 1024x1024,8624x8416] [--pixel_size 5]
[--checkpoint models/model.pt] [--output docs/results/section_cost]`. Each size is segmented by
`configs/inference.json`, with and without the CRF, in a process of its own, which has segmented a small section before,
so that what is compiled and loaded once is not counted. Sections are phantom tissue, repeated to their size. Printed
are seconds per megapixel of the section; how many times as long as the floor that is, the network's operations (each
pixel once, at its own pixel size) at the rate at which this machine multiplies matrices in that precision, measured in
the same process, and how many times the floor of the windows, which overlap; and the peak memory of the process, in
bytes a pixel beyond what it has before the section.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import fire
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from bundle.runs import hardware
from scripts.io import write_atomically, write_json, write_section, write_text
from scripts.phantom import PhantomTissue, acquire
from scripts.weights import git_revision

ROOT = Path(__file__).parents[1]
CHILD = """
import json, re, statistics, sys, time
import torch
from monai.bundle import ConfigWorkflow
from torch.utils.flop_counter import FlopCounterMode
small, overrides = json.loads(sys.argv[1])
def memory(kind):
    # not getrusage, which counts the process that started this one too
    return 1024 * int(re.search(kind + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
def prepared(**given):
    workflow = ConfigWorkflow("configs/inference.json", workflow_type="infer", logging_file=False, **given)
    workflow.initialize()
    return workflow
warm = prepared(**{**overrides, "dataset_dir": small})
warm.run()
get = warm.parser.get_parsed_content
network, amp, patch = get("network"), get("amp"), get("patch_size")
with torch.inference_mode(), FlopCounterMode(display=False) as counter:
    network(torch.rand(1, 1, patch, patch))
flop = counter.get_total_flops() / patch**2
a = torch.rand(3072, 3072, dtype=torch.bfloat16 if amp else torch.float32)
times = []
for _ in range(7):
    start = time.perf_counter()
    a @ a
    times.append(time.perf_counter() - start)
rate = 2 * len(a) ** 3 / statistics.median(times)
before = memory("VmRSS")
workflow = prepared(**overrides)
network, seen = workflow.parser.get_parsed_content("network"), []
network.register_forward_pre_hook(lambda _, windows: seen.append(windows[0].numel()))
start = time.perf_counter()
workflow.run()
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "peak": memory("VmHWM"), "before": before, "flop": flop, "rate": rate,
                  "seen": sum(seen), "amp": amp, "threads": torch.get_num_threads(),
                  "network_pixel_size": get("network_pixel_size")}))
"""


def section_cost(
    sizes: str | Sequence[str] = ("1024x1024", "2048x2048", "4096x4096", "8624x8416"),
    pixel_size: float = 5.0,
    checkpoint: str = "models/model.pt",
    repeats: int = 1,
    output: str | None = None,
) -> str:
    """Measure whole sections.

    Args:
        sizes: widths and heights of the sections in pixels.
        pixel_size: of the sections, nanometres.
        checkpoint: the weights.
        repeats: of each size, in turn; the median of the seconds is given.
        output: where to write a table (`output.md`), all figures (`.json`) and a plot (`.png`), if anywhere.

    Returns:
        A table in Markdown.
    """
    names = sizes.split(",") if isinstance(sizes, str) else list(sizes)
    rows: dict[tuple[str, bool], list[dict]] = {(name, crf): [] for name in names for crf in (False, True)}
    with tempfile.TemporaryDirectory() as folder:
        small = f"{folder}/small.tif"
        write_section(small, tissue(512, 512))
        for _ in range(repeats):
            for (name, use_crf), runs in rows.items():
                width, height = map(int, name.split("x"))
                write_section(f"{folder}/section.tif", tissue(width, height))
                overrides = {
                    "dataset_dir": f"{folder}/section.tif",
                    "output_dir": f"{folder}/out",
                    "checkpoint": str(Path(checkpoint).resolve()),
                    "pixel_size": pixel_size,
                    "use_crf": use_crf,
                    "overwrite": True,
                }
                command = [sys.executable, "-c", CHILD, json.dumps([small, overrides])]
                run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
                runs.append({**json.loads(run.stdout.splitlines()[-1]), "pixels": width * height})
                print(name, "with CRF" if use_crf else "without CRF", f"{runs[-1]['seconds']:.1f} s", flush=True)
    table = _table(rows, pixel_size)
    if output is not None:
        figures = [{"size": name, "crf": crf, "runs": runs} for (name, crf), runs in rows.items()]
        write_json(f"{output}.json", {"machine": hardware(), "commit": git_revision(), "rows": figures})
        write_text(f"{output}.md", table + "\n")
        _plot(rows, Path(f"{output}.png"))
    return table


def _plot(rows: dict[tuple[str, bool], list[dict]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for use_crf, label in ((True, "with CRF"), (False, "without CRF")):
        runs = [found for (_, crf), found in rows.items() if crf is use_crf]
        megapixels = [found[0]["pixels"] / 1e6 for found in runs]
        axes.plot(
            megapixels, [_seconds(found) / mp for found, mp in zip(runs, megapixels, strict=True)], "o-", label=label
        )
    axes.set(xscale="log", xlabel="megapixels of the section", ylabel="seconds per megapixel", ylim=(0, None))
    axes.legend()
    write_atomically(path, lambda part: figure.savefig(part, dpi=150, format="png"))
    plt.close(figure)


def tissue(width: int, height: int) -> np.ndarray:
    """Phantom tissue of 1024x1024 pixels of 5 nm, repeated to a size; uint8 (width, height)."""
    side = 1024
    block = PhantomTissue(np.random.SeedSequence(0), (side, side), 1, 5.0, 40.0)
    section = acquire(block.section(0)[0], np.random.default_rng(0))
    return np.tile(section, (-(-width // side), -(-height // side)))[:width, :height]


def _seconds(runs: Sequence[dict]) -> float:
    return float(np.median([run["seconds"] for run in runs]))


def _table(rows: dict[tuple[str, bool], list[dict]], pixel_size: float) -> str:
    lines = [
        "| section | CRF | s | MP/s | s/MP | times the floor | of its windows | peak GB | bytes a pixel |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, use_crf), runs in rows.items():
        run, seconds = runs[0], _seconds(runs)
        megapixels = run["pixels"] / 1e6
        floor = run["flop"] * run["pixels"] * (pixel_size / run["network_pixel_size"]) ** 2 / run["rate"]
        floor_of_windows = run["flop"] * run["seen"] / run["rate"]
        peak = max(run["peak"] for run in runs)
        lines.append(
            f"| {name} of {pixel_size:g} nm | {'yes' if use_crf else 'no'} | {seconds:.1f} "
            f"| {megapixels / seconds:.1f} | "
            f"{seconds / megapixels:.2f} | {seconds / floor:.1f} | {seconds / floor_of_windows:.1f} "
            f"| {peak / 1e9:.2f} | "
            f"{(peak - run['before']) / run['pixels']:.0f} |"
        )
    rates = [run["rate"] / 1e9 for runs in rows.values() for run in runs]
    note = (
        f"{hardware()}, {run['threads']} threads, {'bfloat16' if run['amp'] else 'float32'}: matrices are multiplied "
        "at "
        f"{np.median(rates):.0f} GFLOP/s ({min(rates):.0f} to {max(rates):.0f}); the network takes "
        f"{run['flop'] / 1e3:.0f} GFLOP for a megapixel of {run['network_pixel_size']:g} nm. Commit {git_revision()}."
    )
    return "\n".join([*lines, "", note])


if __name__ == "__main__":
    fire.Fire(section_cost)
