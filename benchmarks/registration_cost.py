"""What it costs to register a section with its neighbour and to warp it, from file to file, on this machine.

Run from the root of the bundle: `python -m benchmarks.registration_cost [--width 8624] [--height 8416]`. Two sections
of synthetic texture, the second one deformed and cut by a fold, are aligned by `configs/register.json` in a process of
its own. Printed are seconds per megapixel and the peak memory of the process; and, measured in the same process on the
same section, OpenCV's affine warp with cubic interpolation, in the median of three.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import fire
import numpy as np

ROOT = Path(__file__).parents[1]
CHILD = """
import json, re, sys, time
overrides = json.loads(sys.argv[1])
def peak_memory():
    # not getrusage, which counts the process that started this one too
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
import cv2, numpy as np
from monai.bundle import ConfigWorkflow
import scripts.alignment as alignment
seconds = {}
def timed(name, function):
    def wrapper(*args, **kwargs):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result
    return wrapper
alignment.StackAlignment._section = timed("register", alignment.StackAlignment._section)
alignment.to_aligned = timed("warp", alignment.to_aligned)
workflow = ConfigWorkflow("configs/register.json", workflow_type="train", run_id="registration", logging_file=False,
                          **overrides)
workflow.initialize()
imported = peak_memory()
start = time.perf_counter()
workflow.run()
whole = time.perf_counter() - start
peak = peak_memory()
image = alignment.read_section(overrides["dataset_dir"] + "/section_1.tif")
matrix = np.array([[0.999, 0.03, 5], [-0.03, 0.999, 7]])
affine = timed("affine", lambda: cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_CUBIC))
for _ in range(3):
    affine()
report = json.load(open(overrides["output_dir"] + "/report.json"))
print(json.dumps({"seconds": seconds, "whole": whole, "imported": imported, "peak": peak, "report": report}))
"""


def registration_cost(width: int = 8624, height: int = 8416) -> None:
    """Print a Markdown table.

    Args:
        width: of the sections in pixels.
        height: of the sections in pixels.
    """
    from scripts.io import write_section

    megapixels = width * height / 1e6
    with tempfile.TemporaryDirectory() as folder:
        for name, pixels in _sections(width, height).items():
            write_section(f"{folder}/{name}", pixels)
        overrides = {
            "bundle_root": str(ROOT),
            "dataset_dir": f"{folder}/sections",
            "folds_dir": f"{folder}/folds",
            "output_dir": f"{folder}/aligned",
            "reference": 0,
        }
        command = [sys.executable, "-c", CHILD, json.dumps(overrides)]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if child.returncode:
            sys.exit(child.stderr)
        figures = json.loads(child.stdout.splitlines()[-1])
    seconds = figures["seconds"]
    section = figures["report"]["sections"][1]
    affine = float(np.median(seconds["affine"]))
    rows = {
        "OpenCV's affine warp": affine,
        "warp with the fold (`to_aligned`)": seconds["warp"][-1],
        "registration with its neighbour, reading included": seconds["register"][0],
        "whole run, per section: reading, registration, warp, picture, writing": figures["whole"] / 2,
    }
    aligned = figures["report"]["width"] * figures["report"]["height"] / 1e6
    print(
        f"Two sections of {width}x{height} pixels ({megapixels:.1f} MP), aligned {aligned:.1f} MP; working resolution"
    )
    print(f"{figures['report']['working_resolution']}; the second: {section['status']}, {section['patches']} patches\n")
    print("| step | s | s/MP | times the affine warp |\n| --- | --- | --- | --- |")
    for name, value in rows.items():
        print(f"| {name} | {value:.2f} | {value / megapixels:.4f} | {value / affine:.1f} |")
    print(
        f"\nPeak memory {figures['peak'] / 1e6:.2f} GB, of which {figures['imported'] / 1e6:.2f} GB after the imports."
    )


def _sections(width: int, height: int) -> dict[str, np.ndarray]:
    import cv2

    rng = np.random.default_rng(0)
    texture = np.zeros((width, height), np.float32)
    for blur in (3, 9, 27):
        noise = rng.standard_normal((width, height), np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), blur)
        texture += noise / noise.std()
    first = np.clip(128 + 35 * texture, 0, 255).astype(np.uint8)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32), indexing="ij")
    distance = x - 0.5 * width - 0.15 * y - 0.02 * width * np.sin(y * (6 / height))
    apart = np.where(distance > 0, np.float32(0.03 * width), np.float32(-0.02 * width))
    bend = 0.004 * width * np.sin(x * (9 / width)) * np.cos(y * (7 / width))
    turned = (y - height / 2) * 0.02, -(x - width / 2) * 0.02
    # OpenCV takes the first axis for rows
    second = cv2.remap(
        first, y + bend + turned[1], x + apart + turned[0], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    fold = np.abs(distance) < 0.012 * width
    second[fold] //= 5
    return {
        "sections/section_0.tif": first,
        "sections/section_1.tif": second,
        "folds/section_1.png": np.where(fold, np.uint8(255), np.uint8(0)),
    }


if __name__ == "__main__":
    fire.Fire(registration_cost)
