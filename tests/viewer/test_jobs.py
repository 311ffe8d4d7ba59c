"""What takes long, in a process of its own, as the window starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.runs import ROOT, run
from bundle.viewer import jobs
from bundle.viewer.project import Project
from bundle.viewer.regions import Region
from bundle.volumes.convert import convert
from scripts.io import read_section, write_section
from scripts.weights import settings_of

pytestmark = pytest.mark.slow
SHIPPED = str(ROOT / "models" / "model.pt")


class Worker:
    """The process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "bundle.viewer.worker"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __call__(self, job: str, **arguments: Any) -> list[dict]:
        """Do a job; give all answers."""
        self.process.stdin.write(json.dumps({"job": job, **arguments}) + "\n")
        self.process.stdin.flush()
        answers = []
        while not answers or not {"done", "error"} & {*answers[-1]}:
            answers.append(json.loads(self.process.stdout.readline()))
        return answers


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.mark.parametrize("form", ["folder", "stack", "pattern", "volume"])
def test_masks_are_those_of_the_inference(worker: Worker, stack: Path, tmp_path: Path, form: str) -> None:
    source = str(stack)
    if form == "stack":
        source = str(tmp_path / "whole.tif")
        write_section(source, np.stack([read_section(file) for file in sorted(stack.iterdir())], axis=-1))
    elif form == "volume":
        source = str(tmp_path / "volume.zarr")
        convert(str(stack), source, pixel_size=5, section_thickness=50)
    elif form == "pattern":
        source = str(stack / "*.png")
    settings = {"checkpoint": SHIPPED, "pixel_size": 5.0, "channel": None}
    answers = worker("segment", source=source, indices=[2, 0], folder=str(tmp_path / "masks"), settings=settings)
    assert [answer.get("section") for answer in answers] == [2, 0, None]
    assert [answer.get("step") for answer in answers] == [1, 2, None]
    plain = str(stack) if form == "volume" else source
    run("inference", run_id="inference", dataset_dir=plain, output_dir=str(tmp_path / "out"), pixel_size=5.0)
    for index, answer in zip((2, 0), answers, strict=False):
        if form == "stack":
            expected = read_section(tmp_path / "out" / "whole_mitochondria.tif", index)
        else:
            expected = read_section(tmp_path / "out" / f"training_{index:03d}_mitochondria.png")
        np.testing.assert_array_equal(read_section(answer["mask"]), expected)
        assert expected.any()


def test_a_section_that_cannot_be_read_is_named_and_the_next_job_is_done(
    worker: Worker, stack: Path, tmp_path: Path
) -> None:
    whole = (stack / "training_001.png").read_bytes()
    settings = {"checkpoint": SHIPPED, "pixel_size": 5.0, "channel": None}
    arguments = {"source": str(stack), "indices": [1], "folder": str(tmp_path / "masks"), "settings": settings}
    (stack / "training_001.png").write_bytes(whole[:3000])
    assert "training_001.png" in worker("segment", **arguments)[-1]["error"]
    (stack / "training_001.png").write_bytes(whole)
    assert worker("segment", **arguments)[-1] == {"done": None}


def test_the_process_ends_with_the_window() -> None:
    lonely = Worker()
    lonely.process.communicate(timeout=60)  # closes its input, as when the window is killed
    assert lonely.process.returncode == 0


def test_the_place_of_least_certainty(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the network is made to contradict itself where a section is bright: the lower right of the second one
    for index, file in enumerate(sorted(stack.iterdir())):
        pixels = read_section(file)
        if index == 1:
            pixels[-64:, -64:] = 255 - pixels[-64:, -64:]
        write_section(file, pixels)

    def looked_at(network: object, section: Any, **options: Any) -> list[jobs.PatchUncertainty]:
        looked_at.seen.append(tuple(section.shape))
        third = len(looked_at.seen) == 2
        return [jobs.PatchUncertainty(0, 0, 64, 64, 0.1), jobs.PatchUncertainty(64, 96, 64, 32, 0.9 if third else 0.1)]

    looked_at.seen = []
    monkeypatch.setattr(jobs, "patch_uncertainties", looked_at)
    settings = {"checkpoint": SHIPPED, "pixel_size": 5.0, "channel": None}
    told = []
    place = jobs.suggest(lambda **content: told.append(content), str(stack), [], settings)
    assert looked_at.seen == [(1, 128, 128)] * 3  # at the network's 10 nm
    assert place == {"section": 1, "x": 2 * 96, "y": 2 * 112}  # of the section's own pixels
    assert [content["step"] for content in told] == [1, 2, 3]


def test_teaching_keeps_the_best_and_leaves_the_weights_alone(worker: Worker, stack: Path, truth: np.ndarray) -> None:
    project = Project(stack, pixel_size=5)
    project.labels[:] = truth
    whole = ((0.0, 0.0), (0.0, 255.0), (255.0, 255.0), (255.0, 0.0))
    project.set_regions([Region(index, whole) for index in range(3)])
    folder = project.folder / "trainings" / "one"
    before = Path(SHIPPED).read_bytes()
    arguments = {"stack": project.arguments, "folder": str(folder), "weights": SHIPPED, "steps": 12, "minutes": 0}
    *steps, last = worker("teach", **arguments)
    assert last == {"done": None}
    assert [answer["step"] for answer in steps] == list(range(1, 21))  # whole epochs of ten
    assert all(0 < answer["loss"] < 5 for answer in steps)
    stats = json.loads((folder / "run" / "stats.json").read_text())
    assert stats["best_metric"] > stats["deployed_before"] + 0.05  # tissue that is new to the weights
    assert Path(SHIPPED).read_bytes() == before
    project.use(folder / "best.pt")
    assert project.weights == project.folder / "model.pt"
    assert settings_of(project.weights)["network_pixel_size"] == 10
