"""What it costs to segment a whole section, from file to file, on this machine.

Run from the root of the bundle: `python -m benchmarks.section_cost [--sizes 1024,2048] [--width 1.0]
[--pixel_size 5]`. Each size is segmented once by `configs/inference.json`, with untrained weights, which cost what
trained ones cost, in a process of its own, with and without the CRF. The network sees sections at its own pixel size,
so that its cost goes by the area; the CRF sees them as they are. Printed are seconds per megapixel of the section and
per 100 square micrometres, and the peak memory of the process. Some seconds of each are its start.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import fire

ROOT = Path(__file__).parents[1]
CHILD = """
import json, resource, sys, time
from monai.bundle import ConfigWorkflow
overrides = json.loads(sys.argv[1])
workflow = ConfigWorkflow("configs/inference.json", workflow_type="infer", logging_file=False, **overrides)
workflow.initialize()
start = time.perf_counter()
workflow.run()
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "kilobytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def section_cost(sizes: tuple[int, ...] = (1024, 2048), width: float = 1.0, pixel_size: float = 5.0) -> None:
    """Print a Markdown table.

    Args:
        sizes: widths and heights of the square sections in pixels.
        width: width of the Fusion FCN.
        pixel_size: of the sections, nanometres.
    """
    import numpy as np
    import torch

    from scripts.io import write_section
    from scripts.networks import FusionFCN

    print("| section | CRF | s | s/MP | s/100 µm² | peak GB |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        torch.save(FusionFCN(width=width).state_dict(), f"{folder}/model.pt")
        for size in (sizes,) if isinstance(sizes, int) else sizes:
            noise = np.random.default_rng(0).integers(0, 255, (size, size)).astype("uint8")
            write_section(f"{folder}/{size}.png", noise)
            for use_crf in (False, True):
                overrides = {
                    "dataset_dir": f"{folder}/{size}.png",
                    "output_dir": f"{folder}/out",
                    "checkpoint": f"{folder}/model.pt",
                    "width": width,
                    "pixel_size": pixel_size,
                    "use_crf": use_crf,
                    "overwrite": True,
                    "num_workers": 0,
                }
                command = [sys.executable, "-c", CHILD, json.dumps(overrides)]
                run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
                cost = json.loads(run.stdout.splitlines()[-1])
                per_megapixel = cost["seconds"] / size**2 * 1e6
                per_area = per_megapixel * (10 / pixel_size) ** 2
                row = f"| {size}² of {pixel_size:g} nm | {'yes' if use_crf else 'no'} | {cost['seconds']:.1f}"
                row += f" | {per_megapixel:.2f} | {per_area:.2f}"
                print(f"{row} | {cost['kilobytes'] / 1e6:.2f} |", flush=True)


if __name__ == "__main__":
    fire.Fire(section_cost)
