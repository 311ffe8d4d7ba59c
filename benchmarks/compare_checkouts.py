"""Whether two checkouts of the project give the same results: masks, probabilities, registrations, resumed trainings.

    git worktree add /tmp/before <commit>
    python -m benchmarks.compare_checkouts /tmp/before . --sections "data/drosophila_vnc/raw,data/sbem_brain/images"

Each checkout runs the same commands on the same data, one after the other, in a folder of its own; every file that both
have written is compared, pixels by value, weights tensor by tensor. The phantom is made by the first checkout.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import fire
import numpy as np
import torch

from scripts.data import FORMATS, read_info, read_section

TRAINING = {
    "width": 0.125,
    "patch_size": 64,
    "patches_per_section": 2,
    "val_interval": 1,
    "num_workers": 0,
    "epochs": 2,
}


def compare(before: str, after: str, sections: str | Sequence[str] = (), output: str | None = None) -> None:
    """Run two checkouts side by side and print what differs.

    Args:
        before: root of the first checkout.
        after: root of the second.
        sections: folders of real sections to segment, beside the phantom.
        output: JSON file for the figures.

    Raises:
        SystemExit: something differs, or a command failed.
    """
    folders = [sections] if isinstance(sections, str) else list(sections)
    folders = [str(Path(name).resolve()) for entry in folders for name in entry.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        phantom = work / "phantom"
        arguments = ["--size", "384", "--sections", "4,1,1", "--misalign", "True", "--folds", "True"]
        _run(Path(before), "bundle", "phantom", "--output", str(phantom), *arguments)
        results: dict[str, dict] = {}
        for name, root in (("before", before), ("after", after)):
            for task, command in _commands(Path(root), work / name, phantom, folders):
                start = time.perf_counter()
                _run(Path(root), *command)
                results.setdefault(task, {})[f"{name}_s"] = round(time.perf_counter() - start, 1)
        differing = False
        for task, record in results.items():
            record |= _compared(work / "before" / task, work / "after" / task)
            differing |= bool(record["differing"] or record["only_one"] or not record["files"])
            print(task, json.dumps(record), flush=True)
    if output is not None:
        Path(output).write_text(json.dumps(results, indent=2) + "\n")
    if differing:
        sys.exit("the results differ")


def _commands(root: Path, work: Path, phantom: Path, folders: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The name of each task, which is its folder of results, and its command."""
    for index, sections in enumerate([str(phantom / "images"), *folders]):
        task = f"inference_{index}"
        yield (
            task,
            _config("inference", "inference", dataset_dir=sections, output_dir=work / task, save_probability=True),
        )
    stack = phantom / "images" / "training_*.png"
    yield "registration", _config("register", "registration", dataset_dir=stack, output_dir=work / "registration")
    settings = {**TRAINING, "dataset_dir": phantom, "ckpt_dir": work / "training"}
    yield "training", _config("train", "training", **settings | {"epochs": 1})
    yield "training", _config("train", "training", **settings, resume=True)


def _config(config: str, run_id: str, **settings: object) -> list[str]:
    given = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    return ["monai.bundle", "run", run_id, "--config_file", f"configs/{config}.json", *given]


def _run(root: Path, module: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{root}: {module} {' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _compared(first: Path, second: Path) -> dict[str, object]:
    """Compare the pictures and weights of two folders."""
    names = [{str(path.relative_to(folder)) for path in _comparable(folder)} for folder in (first, second)]
    both = sorted(names[0] & names[1])
    differing = [name for name in both if not _equal(first / name, second / name)]
    return {"files": len(both), "differing": differing, "only_one": sorted(names[0] ^ names[1])}


def _comparable(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and not {"log", "pictures", "qc"} & {*path.parts})
    return [path for path in files if path.name == "model.pt" or path.name.lower().endswith(FORMATS)]


def _equal(first: Path, second: Path) -> bool:
    if first.suffix == ".pt":
        states = [torch.load(path, map_location="cpu", weights_only=True) for path in (first, second)]
        same = [torch.equal(value, states[1][key]) for key, value in states[0].items() if key in states[1]]
        return states[0].keys() == states[1].keys() and all(same)
    if read_info(first) != read_info(second):
        return False
    pages = range(read_info(first).pages)
    return all(np.array_equal(read_section(first, page), read_section(second, page)) for page in pages)


if __name__ == "__main__":
    fire.Fire(compare)
