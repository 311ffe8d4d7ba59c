"""What `run volume` makes of an output that is there, before anything is segmented."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from scripts.io.volume import Volume
from scripts.volumes import VolumeSegmentation

ROOT = Path(__file__).parents[2]
SHAPE = (3, 40, 30)


@pytest.fixture
def segmentation(tmp_path: Path) -> Callable[..., VolumeSegmentation]:
    """A segmentation of a volume of noise, without and with settings of its config."""
    volume = Volume.create(tmp_path / "v.zarr", SHAPE, np.uint8, (50, 5, 5))
    for page in range(SHAPE[0]):
        volume.write(page, np.random.default_rng(page).integers(1, 255, SHAPE[1:], np.uint8))
    volume.complete()

    def make(overwrite: bool = False, **settings: Any) -> VolumeSegmentation:
        given = {"bundle_root": str(ROOT), "checkpoint": str(ROOT / "models" / "model.pt"), **settings}
        config = ROOT / "configs" / "inference.json"
        return VolumeSegmentation(tmp_path / "v.zarr", tmp_path / "out.zarr", config, given, 0, overwrite=overwrite)

    return make


def begin(segmentation: VolumeSegmentation) -> None:
    segmentation.create(segmentation.output, identity=segmentation.identity()).complete()
    segmentation.source.keep()


def draw(volume: Path, name: str) -> zarr.Array:
    labels = zarr.open_group(volume, mode="r+").require_group(f"labels/{name}")
    array = labels.create_array("0", shape=SHAPE, chunks=(1, *SHAPE[1:]), dtype=np.uint32)
    array[:] = 42
    return array


@pytest.mark.parametrize("name", ["corrected", "mitochondria"])
def test_labels_of_a_person_are_not_removed_with_their_volume(segmentation: Callable, name: str) -> None:
    begin(segmentation())
    labels = draw(segmentation().output, name)
    if name == "corrected":
        segmentation(overwrite=True).check()  # the same masks stay, and nothing is written there
    else:
        with pytest.raises(FileExistsError, match=r"labels/mitochondria: .* or choose another --output_dir"):
            segmentation(overwrite=True).check()
    other = segmentation(overwrite=True, use_crf=False)
    with pytest.raises(FileExistsError, match=rf"labels/{name}: .* would be removed with the volume"):
        other.check()
    with pytest.raises(FileExistsError, match=rf"labels/{name}: .* would be removed with the volume"):
        other.run()
    assert (labels[:] == 42).all()


def test_labels_of_this_bundle_are_removed(segmentation: Callable) -> None:
    begin(segmentation())
    Volume.create_labels(segmentation().output, "mitochondria", SHAPE).complete()
    segmentation(overwrite=True, use_crf=False).check()
    labels = segmentation().output / "labels"
    (labels / "mitochondria").rename(labels / "kept")
    with pytest.raises(FileExistsError, match="labels/kept: must be the labels mitochondria, but got others"):
        segmentation(overwrite=True, use_crf=False).check()


@pytest.mark.parametrize("overwrite", [False, True])
def test_overwriting_goes_for_the_objects_too(
    segmentation: Callable, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    given: dict[str, Any] = {}

    class Workflow:
        def __init__(self, *_: object, **settings: Any) -> None:
            given.update(settings)

        def initialize(self) -> None: ...

        def run(self) -> None: ...

    monkeypatch.setattr("scripts.volumes.segmentation.ConfigWorkflow", Workflow)
    segmentation(overwrite=overwrite).measure(ROOT / "configs" / "objects.json", {"neck": 0.6})
    assert (given["overwrite"], given["neck"]) == (overwrite, 0.6)


def test_other_thresholds_of_the_record_are_another_run(segmentation: Callable, tmp_path: Path) -> None:
    for suffix in (".pt", ".json"):
        shutil.copy(ROOT / "models" / f"model{suffix}", tmp_path / f"w{suffix}")
    given = {"checkpoint": str(tmp_path / "w.pt")}
    begin(segmentation(**given))
    segmentation(**given).check()
    record = json.loads((tmp_path / "w.json").read_text())
    record["settings"]["threshold"] = 0.9
    (tmp_path / "w.json").write_text(json.dumps(record))
    with pytest.raises(FileExistsError, match="is of a run with another record"):
        segmentation(**given).check()
    segmentation(**given, overwrite=True).check()


def test_a_run_of_a_version_that_did_not_note_the_record(
    segmentation: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    begin(segmentation())
    masks = Volume(segmentation().output)
    identity = masks.own()["identity"]
    del identity["record"]
    masks.note(identity=identity)
    segmentation().check()
    assert "does not say what the record of its weights was" in caplog.text
    with pytest.raises(FileExistsError, match="is of a run with another settings"):
        segmentation(use_crf=False).check()


def test_the_pixel_size_is_no_setting_of_the_inference(segmentation: Callable) -> None:
    with pytest.raises(ValueError, match=r"pixel_size must be given by --pixel_size, but got 5 in --inference"):
        segmentation(pixel_size=5)
