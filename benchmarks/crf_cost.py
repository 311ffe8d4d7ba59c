"""Time and memory of the fully connected CRF by both of its methods, and how far their labels agree: Markdown tables.

    python -m benchmarks.crf_cost --sizes 1024,2048,4096,8416 --repeats 3
    python -m benchmarks.crf_cost --sections data/drosophila_vnc/images --pixel_size 4.6 --predictions predictions

The first measures stand-ins of sections. The second compares the methods on real ones, whose probabilities are those of
`run inference --save_probability True --use_crf False` in the folder of predictions. All threads that PyTorch would
use (`OMP_NUM_THREADS`) are used by "grid"; "permutohedral" has one. Linux only: memory is read from /proc.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fire
import numpy as np
from monai.bundle import ConfigParser
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from bundle.runs import hardware
from scripts.crf import METHODS, dense_crf
from scripts.io import find_sections, read_section, split_suffix

ROOT = Path(__file__).parents[1]
SHIPPED = json.loads((ROOT / "models" / "model.json").read_text())["settings"]
PARAMETERS = {
    "as shipped": SHIPPED["crf"],
    "narrow": {
        "gaussian_sxy": 3.0,
        "gaussian_compat": 0.5,
        "bilateral_sxy": 5.0,
        "bilateral_srgb": 20.0,
        "bilateral_compat": 1.0,
        "iterations": 5,
    },
    "strong": {
        "gaussian_sxy": 3.0,
        "gaussian_compat": 3.0,
        "bilateral_sxy": 40.0,
        "bilateral_srgb": 13.0,
        "bilateral_compat": 5.0,
        "iterations": 10,
    },
}
"""Those of the shipped weights, the function's own defaults, and such as are common for photographs."""


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


def seconds_of(
    function: Callable[..., Any], methods: Sequence[str], repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Time a function of the method, the methods in turn, so that what else the machine does meets all of them.

    Args:
        function: takes the name of a method as `method`.
        methods: their names.
        repeats: number of runs of each.

    Returns:
        By method, median seconds and median seconds of all cores together, which other work lengthens less.
    """
    times: dict[str, list[tuple[float, float]]] = {method: [] for method in methods}
    for _ in range(repeats):
        for method in methods:
            start, cores = time.perf_counter(), time.process_time()
            function(method=method)
            times[method].append((time.perf_counter() - start, time.process_time() - cores))
    return tuple({m: statistics.median(t[i] for t in runs) for m, runs in times.items()} for i in (0, 1))


def memory(size: int, method: str) -> int:
    """Run the CRF once; to be called in a process of its own, whose memory nothing else has touched.

    Args:
        size: width and height in pixels.
        method: of the CRF.

    Returns:
        Peak of memory above inputs and result, in bytes.
    """
    probabilities, image = make_section(size)
    _load()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    result = dense_crf(probabilities, image, **SHIPPED["crf"], method=method)
    return _status("VmHWM") - before - result.nbytes


def cost(sizes: Sequence[int], repeats: int, largest: int) -> Iterator[str]:
    """Measure stand-ins of sections with the shipped parameters.

    Args:
        sizes: widths of the square sections in pixels.
        repeats: number of runs of which the median time is taken.
        largest: width up to which "permutohedral" is run.

    Yields:
        Lines of a Markdown table; the bytes are those beyond input and output.
    """
    yield "| section | method | s per megapixel | of permutohedral | CPU s per megapixel | bytes per pixel |"
    yield "| --- | --- | --- | --- | --- | --- |"
    _load()
    for size in tqdm(sizes):
        methods = METHODS if size <= largest else METHODS[:1]
        probabilities, image = make_section(size)
        seconds, cores = seconds_of(partial(dense_crf, probabilities, image, **SHIPPED["crf"]), methods, repeats)
        del probabilities, image
        for method in methods:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                peak = pool.apply(memory, (size, method))
            share = f"{seconds[method] / seconds['permutohedral']:.3f}" if "permutohedral" in seconds else "-"
            yield (
                f"| {size} × {size} | {method} | {seconds[method] / size**2 * 1e6:.3f} "  # noqa: RUF001
                f"| {share} | {cores[method] / size**2 * 1e6:.3f} | {peak / size**2:.0f} |"
            )


def agreement(sections: str, predictions: str, pixel_size: Any, repeats: int) -> Iterator[str]:
    """Compare the methods on real sections.

    Args:
        sections: folder of sections.
        predictions: folder with their probabilities.
        pixel_size: of the sections, as for inference.
        repeats: number of runs of which the median time is taken.

    Yields:
        Lines of a Markdown table: pixels with the same label by both methods, differences of their probabilities,
        pixels whose label "permutohedral" changes, time of "grid" as a share of that of "permutohedral".
    """
    columns = ("parameters", "section", "labels equal", "largest difference", "mean", "changed by the CRF", "time")
    yield f"| {' | '.join(columns)} |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    parser = ConfigParser()
    parser.read_config(ROOT / "configs" / "inference.json")
    parser["displayable_configs#pixel_size"] = pixel_size
    preprocessing = parser.get_parsed_content("preprocessing")
    _load()
    for name, parameters in PARAMETERS.items():
        threshold = SHIPPED["threshold"] if name == "as shipped" else 0.5
        for item in tqdm(find_sections(sections), desc=name):
            stem, _ = split_suffix(item["image"])
            (file,) = Path(predictions).glob(f"{Path(stem).name}_probability.*")
            foreground = read_section(file).astype(np.float32)
            probabilities = np.stack([1 - foreground, foreground])
            image = np.asarray(preprocessing(item)["image"])
            refined: dict[str, np.ndarray] = {}

            def run(method: str) -> None:
                refined[method] = dense_crf(probabilities, image, **parameters, method=method)[1]  # noqa: B023

            seconds, _ = seconds_of(run, METHODS, repeats)
            grid, lattice = (refined[method] for method in METHODS)
            equal = ((grid >= threshold) == (lattice >= threshold)).mean()
            changed = ((lattice >= threshold) != (foreground >= threshold)).mean()
            difference = abs(grid - lattice)
            yield (
                f"| {name} | {Path(stem).name} | {equal:.3%} | {difference.max():.3f} | {difference.mean():.5f} "
                f"| {changed:.2%} | {seconds['grid'] / seconds['permutohedral']:.3f} |"
            )


def _load() -> None:
    """Have both methods load or compile what they need, which is not to be measured."""
    for method in METHODS:
        dense_crf(*make_section(64), **SHIPPED["crf"], method=method)


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), flags=re.MULTILINE)
    return int(found[1]) * 1024


def main(
    sizes: int | Sequence[int] = (1024, 2048, 4096),
    repeats: int = 3,
    largest: int = 4096,
    sections: str | None = None,
    predictions: str | None = None,
    pixel_size: Any = 0.0,
) -> None:
    """Print the table of stand-ins, or that of real sections.

    Args:
        sizes: widths of the square stand-ins in pixels.
        repeats: number of runs of which the median time is taken.
        largest: width up to which "permutohedral" is run, which takes 180 bytes a pixel.
        sections: folder of real sections.
        predictions: folder with their probabilities.
        pixel_size: of the real sections, as for inference.
    """
    sizes = (sizes,) if isinstance(sizes, int) else sizes
    lines = cost(sizes, repeats, largest) if sections is None else agreement(sections, predictions, pixel_size, repeats)
    for line in lines:
        print(line, flush=True)
    print(f"\n{hardware()}")


if __name__ == "__main__":
    fire.Fire(main)
