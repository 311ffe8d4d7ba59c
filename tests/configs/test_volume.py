"""``run volume``: the masks of ``run inference``, in blocks, whatever happens on the way."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from benchmarks.volume_cost import workers_of
from bundle.volumes.convert import convert
from scripts.config import first_cause
from scripts.io import find_sections, read_section
from scripts.io.volume import Volume

ROOT = Path(__file__).parents[2]
COUNT = 5

pytestmark = [
    pytest.mark.slow,
    # the engine's own
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five sections of 96x96 pixels of a phantom."""
    from bundle.data.phantom import phantom

    folder = tmp_path_factory.mktemp("volume")
    phantom(output=str(folder / "phantom"), seed=5, size=96, sections=(1, 1, COUNT))
    convert(
        str(folder / "phantom" / "images" / "test_*.png"),
        str(folder / "sections.zarr"),
        pixel_size=5,
        section_thickness=50,
    )
    return folder / "sections.zarr"


@pytest.fixture
def run_volume(volume: Path, tmp_path: Path, run_whole_config: Callable[..., None]) -> Callable[..., Path]:
    def run(name: str = "out.zarr", **overrides: Any) -> Path:
        settings = {"dataset_dir": str(volume), "output_dir": str(tmp_path / name), "use_crf": False, "workers": 0}
        settings |= overrides
        run_whole_config("volume", "volume", **settings)
        return tmp_path / name

    return run


@pytest.fixture(scope="module")
def expected(volume: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, np.ndarray]:
    """Masks of ``run inference``, without and with the CRF."""
    from bundle.runs import run

    masks = {}
    for use_crf in (False, True):
        out = tmp_path_factory.mktemp("inference")
        run("inference", run_id="inference", dataset_dir=str(volume), output_dir=str(out), use_crf=use_crf)
        masks[use_crf] = pixels(out / "sections_mitochondria.tif")
    assert masks[False].any()
    assert (masks[True] != masks[False]).any()
    return masks


def pixels(path: Path) -> np.ndarray:
    return np.stack([read_section(section) for section in find_sections(path)])


def command(volume: Path, output: Path, *more: str) -> list[str]:
    settings = ["--dataset_dir", str(volume), "--output_dir", str(output), "--use_crf", "False", *more]
    config = [sys.executable, "-m", "monai.bundle", "run", "volume", "--config_file", "configs/volume.json"]
    return [*config, "--number_objects", "False", *settings]


def test_objects_of_a_volume(run_volume: Callable, expected: dict) -> None:
    out = run_volume(use_crf=True, save_probability=True)
    np.testing.assert_array_equal(pixels(out), expected[True])
    probability = pixels(out / "probability.zarr")
    assert probability.dtype == np.float32
    assert (probability[expected[True] > 0].min(), probability.max()) > (0.3, 0.5)
    labels = zarr.open_group(out / "labels" / "mitochondria", mode="r")
    numbers = labels["0"][:]
    assert numbers.shape == (COUNT, 96, 96)
    found = json.loads((out / "objects" / "summary.json").read_text())
    assert numbers.max() == found["objects"] > 0
    assert found["settings"]["section_thickness_nm"] == 50
    assert found["settings"]["pixel_size_nm"] == [5, 5]
    assert ((numbers > 0).transpose(0, 2, 1) <= (expected[True] > 0)).mean() > 0.99
    assert zarr.open_group(out / "labels", mode="r").attrs["ome"]["labels"] == ["mitochondria"]
    # again: nothing is done
    before = (out / "objects" / "summary.json").stat().st_mtime_ns
    run_volume(use_crf=True, save_probability=True)
    assert (out / "objects" / "summary.json").stat().st_mtime_ns == before


def test_masks_are_those_of_the_inference(run_volume: Callable, expected: dict) -> None:
    out = run_volume(workers=2, block_size=[2, 8704, 8704], version="0.4", number_objects=False)
    np.testing.assert_array_equal(pixels(out), expected[False])
    assert not (out / "labels").exists()


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sections of 170x130 pixels, the second with a white margin and a corner without tissue."""
    from scripts.phantom import PhantomTissue, acquire

    folder = tmp_path_factory.mktemp("wide") / "wide.zarr"
    tissue = PhantomTissue(3, (170, 130), 2, 5.0, 50.0)
    wide = Volume.create(folder, (2, 130, 170), np.uint8, (50, 5, 5))
    for page in range(2):
        section = acquire(tissue.section(page)[0], np.random.default_rng(page)).T
        if page:
            section[:40] = 255
            section[90:, 110:] = 255
        wide.write(page, section)
    wide.complete()
    return folder


@pytest.mark.parametrize("use_crf", [False, True])
def test_blocks_that_are_parts_of_sections(run_volume: Callable, wide: Path, tmp_path: Path, use_crf: bool) -> None:
    """Several windows of the network in each section and in each block; blocks without tissue among them."""
    from bundle.runs import run

    more = {"patch_size": 64, "save_probability": True, "test_time_augmentation": use_crf}
    # bfloat16 would make much of the last bit in which sections shown 1.25 times as large differ
    more |= {"crf#bilateral_sxy": 4.0, "crf#gaussian_sxy": 2.0, "amp": False} if use_crf else {}
    whole = tmp_path / "whole"
    run("inference", run_id="inference", dataset_dir=str(wide), output_dir=str(whole), use_crf=use_crf, **more)
    expected, scores = (pixels(whole / f"wide_{kind}.tif") for kind in ("mitochondria", "probability"))
    assert (expected > 0).any()
    assert (scores == 0).any()
    kept = {"save_probability": more.pop("save_probability")}
    given = {"dataset_dir": str(wide), "number_objects": False, "use_crf": use_crf, "inference": more, **kept}
    out = run_volume(block_size=[2, 48, 64], **given)
    np.testing.assert_allclose(pixels(out / "probability.zarr"), scores, atol=2e-3 if use_crf else 1e-5)
    assert (pixels(out) != expected).mean() < (1e-4 if use_crf else 1e-9)
    assert not (out / ".sections").exists()
    if not use_crf:  # two processes, of which one finds what the other has measured
        out = run_volume("two.zarr", block_size=[1, 96, 96], workers=2, **given)
        np.testing.assert_array_equal(pixels(out), expected)


def test_blocks_heed_where_sections_are_valid(run_volume: Callable, wide: Path, tmp_path: Path) -> None:
    """Tissue that a registration declares to be none is none, whatever the blocks."""
    from bundle.runs import run

    shutil.copytree(wide, tmp_path / "images.zarr")
    masks = Volume.create(tmp_path / "valid.zarr", (2, 130, 170), np.uint8, average=False, result=True)
    for page in range(2):
        masks.write(page, np.where(np.arange(130)[:, None] * np.ones(170) >= 80, np.uint8(255), np.uint8(0)))
    masks.complete()
    given = {"dataset_dir": str(tmp_path / "images.zarr"), "use_crf": False}
    run("inference", run_id="inference", output_dir=str(tmp_path / "whole"), patch_size=64, **given)
    expected = pixels(tmp_path / "whole" / "images_mitochondria.tif")
    assert (expected[:, :, 80:] > 0).any()
    assert not expected[:, :, :80].any()
    given |= {"number_objects": False, "inference": {"patch_size": 64}}
    for name, block in (("parts.zarr", [1, 48, 64]), ("whole.zarr", [1, 130, 170])):
        np.testing.assert_array_equal(pixels(run_volume(name, block_size=block, **given)), expected)
    masks.note(complete=True, changed=1)
    with pytest.raises(RuntimeError) as caught:
        run_volume("parts.zarr", block_size=[1, 48, 64], **given)
    assert "is of a run with another valid" in str(first_cause(caught.value))


def test_what_is_measured_on_a_section_is_kept(tmp_path: Path) -> None:
    from scripts.grey_levels import SectionLevels
    from scripts.volumes.windows import _keep, _kept

    image = np.random.default_rng(0).integers(0, 200, (90, 70), np.uint8)
    margin = image.copy()
    margin[:30] = 255
    far = np.where(margin == image, image / np.float32(255), np.float32(-9999))
    odd = np.full_like(image, 7)
    odd[30, 40] = 200
    sections = {
        "plain": (image, "tissue"),
        "margin": (margin, "tissue"),
        "far margin": (far, "tissue"),
        "float": (image * 1e-3 + 5e5, "tissue"),
        "stretched": (image, "none"),
        "blank": (np.full_like(image, 7), "tissue"),
        "one odd pixel": (odd, "tissue"),
    }
    for name, (section, method) in sections.items():
        levels = SectionLevels.measure(section, method)
        assert (levels.tissue is None) == (name in ("plain", "float", "stretched"))
        for _ in range(2):  # the second finds the first
            _keep(levels, tmp_path / f"{name}.zarr")
        found = _kept(tmp_path / f"{name}.zarr")
        whole, tissue = levels.whole(section)
        for window in ((slice(0, 90), slice(0, 70)), (slice(20, 45), slice(3, 70))):
            part, inside = found.window(section.__getitem__, window)
            np.testing.assert_array_equal(part, whole[window])
            np.testing.assert_array_equal(inside, tissue[window])


def test_a_chunk_that_is_damaged(run_volume: Callable, volume: Path, expected: dict, tmp_path: Path) -> None:
    damaged = tmp_path / "sections.zarr"
    shutil.copytree(volume, damaged)
    shard = damaged / "0" / "c" / "2" / "0" / "0"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(RuntimeError) as caught:
        run_volume(dataset_dir=str(damaged), workers=1)
    message = str(first_cause(caught.value))
    assert "1 of 5 blocks failed" in message
    assert "section 2" in message
    assert str(damaged) in message
    with pytest.raises(ValueError, match="is not complete"):
        find_sections(tmp_path / "out.zarr")
    shard.write_bytes(content)
    run_volume(dataset_dir=str(damaged), number_objects=False)
    np.testing.assert_array_equal(pixels(tmp_path / "out.zarr"), expected[False])
    # what is segmented may not change
    Volume(damaged).levels[0][3] = 255 - read_section(damaged, 3).T
    with pytest.raises(RuntimeError) as caught:
        run_volume(dataset_dir=str(damaged), number_objects=False)
    assert "but section 3 has changed since" in str(first_cause(caught.value))
    run_volume(dataset_dir=str(damaged), number_objects=False, overwrite=True)
    assert (pixels(tmp_path / "out.zarr")[3] != expected[False][3]).any()
    run_volume(dataset_dir=str(damaged), number_objects=False)


@pytest.mark.parametrize("free", [20480, 106496])
def test_a_full_disk(run_volume: Callable, expected: dict, small_disk: Callable, free: int) -> None:
    """Before the first block, and after some."""
    disk = small_disk(2**20)
    filler = disk / "filler"
    filler.write_bytes(bytes(2**20 - free))
    settings = {"output_dir": str(disk / "out.zarr"), "save_probability": True, "number_objects": False}
    with pytest.raises(RuntimeError) as caught:
        run_volume(**settings)
    message = str(first_cause(caught.value))
    assert "No space left on device" in message
    assert str(disk) in message
    filler.unlink()
    run_volume(**settings)
    np.testing.assert_array_equal(pixels(disk / "out.zarr"), expected[False])


def test_a_run_that_is_killed_goes_on(run_volume: Callable, volume: Path, expected: dict, tmp_path: Path) -> None:
    """A worker is killed when the first block is done, then the run with all its workers, and it is called again."""
    out = tmp_path / "out.zarr"

    def wait_for_blocks(count: int) -> None:
        marks = out / ".blocks" / "done" / "c" / "0" / "0" / "0"  # a byte for each block
        deadline = time.monotonic() + 300
        while not marks.exists() or marks.read_bytes().count(1) < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    with subprocess.Popen(command(volume, out, "--workers", "2"), cwd=ROOT, start_new_session=True) as process:
        wait_for_blocks(1)
        os.kill(next(iter(workers_of(process.pid))), signal.SIGKILL)
        wait_for_blocks(3)
        os.killpg(process.pid, signal.SIGKILL)
    with pytest.raises(ValueError, match="is not complete"):
        find_sections(out)
    run_volume(number_objects=False)
    np.testing.assert_array_equal(pixels(out), expected[False])


def test_a_cluster(
    run_volume: Callable,
    expected: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """A stand-in for sbatch runs what it is given, and says what that was."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    script = '#!/bin/bash\necho "$@" >> "$SAID"\nwhile [ "$1" != --wrap ]; do shift; done\nexec bash -c "$2"\n'
    (binaries / "sbatch").write_text(script)
    (binaries / "sbatch").chmod(0o755)
    for name, value in {"PATH": f"{binaries}:{os.environ['PATH']}", "SAID": str(tmp_path / "said")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAISY_HOST", "127.0.0.1")
    run_volume(cluster="slurm", workers=2, dry_run=True)
    shown = capsys.readouterr().out
    submitted = next(line for line in shown.splitlines() if "sbatch" in line).split(": ", 1)[1]
    assert submitted.startswith("sbatch --wait")
    assert not (tmp_path / "said").exists()
    out = run_volume(cluster="slurm", workers=2, number_objects=False)
    np.testing.assert_array_equal(pixels(out), expected[False])
    jobs = (tmp_path / "said").read_text().splitlines()
    assert len(jobs) == 2
    assert all("scripts.volumes.worker" in job and "--cpus-per-task" in job for job in jobs)


def test_an_estimate_writes_nothing(run_volume: Callable, capsys: pytest.CaptureFixture) -> None:
    out = run_volume(dry_run=True, workers=2, block_size=[2, 96, 96])
    printed = capsys.readouterr().out
    assert "5 sections of 96x96 pixels in 3 blocks of 2" in printed
    assert "read: 4.61e-05 GB" in printed
    assert "a megapixel" in printed
    assert not out.exists()


def test_what_is_refused(run_volume: Callable, expected: dict, tmp_path: Path) -> None:
    def refusal(**settings: Any) -> str:
        with pytest.raises(RuntimeError) as caught:
            run_volume(**settings)
        return str(first_cause(caught.value))

    assert "python -m bundle convert" in refusal(dataset_dir=str(tmp_path))
    assert "no such volume" in refusal(dataset_dir=str(tmp_path / "none.zarr"))
    assert "must be a folder named *.zarr" in refusal(name="out")
    assert "workers must be a whole number from 0 on, but got -1" in refusal(workers=-1)
    assert "from 1 on a cluster" in refusal(workers=0, cluster="slurm")
    assert "block_size" in refusal(block_size=1)
    assert "block_size" in refusal(block_size=[1, 0, 96])
    assert "equalize must be" in refusal(block_size=[5, 48, 48], inference={"equalize": "section"}, name="s.zarr")
    assert "{command}" in refusal(cluster="qsub", workers=1)
    assert "unknown setting 'treshold' = 0.5; did you mean 'threshold'?" in refusal(inference={"treshold": 0.5})
    assert "unknown setting 'smoting'" in refusal(objects={"smoting": 0.25})
    assert "--save_probability True" in refusal(objects={"smoothing": 0.25})
    assert "section_thickness" in refusal(section_thickness=0.05)
    (tmp_path / "out.zarr").mkdir()
    assert "is not of a segmentation" in refusal()
    (tmp_path / "out.zarr").rmdir()
    given = {"block_size": [5, 96, 96], "inference": {"threshold_without_crf": 0.9}}
    out = run_volume(number_objects=False, **given)
    assert 0 < (pixels(out) > 0).sum() < (expected[False] > 0).sum()
    assert "is of a run with another settings" in refusal(**given, use_crf=True)
    assert "is of a run with another block_size" in refusal(**{**given, "block_size": [1, 96, 96]})
    with open(tmp_path / ".out.zarr.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for use_crf in (False, True):
            assert "another run writes into it" in refusal(**given, use_crf=use_crf, overwrite=True)
    assert pixels(out).shape == (COUNT, 96, 96)
