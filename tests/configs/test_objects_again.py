"""Analyses that fail, are stopped, or are asked for once more."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from tubes import FILES, NM, cause, tubes, write

from scripts.instances import measure_profiles
from scripts.io import write_section
from scripts.io.volume import Volume
from scripts.objects import gathering


def test_a_damaged_mask_leaves_no_summary(analysed: Callable, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write(tmp_path / "masks", [rng.random((120, 90)) > 0.5] * 2)
    os.truncate(tmp_path / "masks" / "s1_mitochondria.png", 900)
    assert "s1_mitochondria.png" in str(cause(analysed))
    assert not [file for file in (tmp_path / "out").iterdir() if not file.name.startswith(".")]


def test_results_are_kept_apart_from_masks(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", tubes())
    assert "output_dir must be another folder" in str(cause(analysed, output_dir=str(tmp_path / "masks")))


def test_a_finished_analysis_is_left_and_another_is_refused(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", tubes())
    out = analysed(**NM)
    os.utime(out / "profiles.csv", (0, 0))
    analysed(**NM)
    assert (out / "profiles.csv").stat().st_mtime == 0
    error = cause(analysed, **NM, neck=0.5)
    assert isinstance(error, FileExistsError)
    assert "summary.json" in str(error)
    analysed(**NM, neck=0.5, overwrite=True)
    assert json.loads((out / "summary.json").read_text())["settings"]["neck"] == 0.5


def test_an_analysis_is_another_where_the_sections_or_the_place_of_the_numbers_are(
    analysed: Callable, tmp_path: Path
) -> None:
    write(tmp_path / "masks", tubes())
    for index in range(4):
        write_section(tmp_path / "images" / f"s{index}.png", np.full((120, 90), 40 + index, np.uint8))
    with_sections = {**NM, "sections_dir": str(tmp_path / "images")}
    analysed(**with_sections)
    analysed(**with_sections)
    assert isinstance(cause(analysed, **NM), FileExistsError)
    assert isinstance(cause(analysed, **with_sections, labels_of=str(tmp_path / "volume.zarr")), FileExistsError)
    write_section(tmp_path / "images" / "s1.png", np.full((120, 90), 90, np.uint8))
    assert isinstance(cause(analysed, **with_sections), FileExistsError)


def test_a_run_that_was_stopped_goes_on(analysed: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "masks", tubes(6))
    whole = analysed(**NM, output_dir=str(tmp_path / "whole"))
    calls = []

    def stopping(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measure_profiles(*arguments)

    monkeypatch.setattr(gathering, "measure_profiles", stopping)
    with pytest.raises(KeyboardInterrupt):
        analysed(**NM)
    assert not (tmp_path / "out" / "summary.json").exists()
    out = analysed(**NM)
    assert len(calls) == 4 + 3  # three sections were kept
    for name in FILES - {"report.html", "rois.zip"}:
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert sorted(os.listdir(out)) == sorted(os.listdir(whole))
    # with other settings nothing is taken over
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        analysed(**NM, neck=0.5, overwrite=True)
    analysed(**NM, neck=0.6, overwrite=True)
    assert len(calls) == 4 + 6


def test_labels_of_a_person_are_refused_before_the_work(analysed: Callable, tmp_path: Path) -> None:
    masks = tubes()
    write(tmp_path / "masks", masks)
    shape = (len(masks), *masks[0].T.shape)
    Volume.create(tmp_path / "v.zarr", shape, np.uint8, (50, 5, 5)).complete()
    labels = zarr.open_group(tmp_path / "v.zarr", mode="r+").create_group("labels").create_group("mitochondria")
    labels.create_array("0", shape=shape, dtype=np.uint32, chunks=(1, *shape[1:]))[:] = 42
    given = {**NM, "labels_of": str(tmp_path / "v.zarr")}
    assert "must be labels that this bundle wrote" in str(cause(analysed, **given))
    assert (labels["0"][:] == 42).all()
    assert list((tmp_path / "out").iterdir()) == []
    analysed(**given, overwrite=True)
    assert zarr.open_group(tmp_path / "v.zarr" / "labels" / "mitochondria")["0"][:].max() == 2
    analysed(**given)  # done
    (tmp_path / "out" / "summary.json").unlink()
    analysed(**given)


def test_masks_of_a_volume_that_change_in_place_are_noticed(analysed: Callable, tmp_path: Path) -> None:
    masks = np.stack([mask.T for mask in tubes()])
    volume = Volume.create(tmp_path / "m.zarr", masks.shape, np.uint8, (50, 5, 5), average=False, result=True)
    for page, mask in enumerate(masks):
        volume.write(page, np.where(mask, np.uint8(255), np.uint8(0)))
    volume.complete()
    given = {**NM, "dataset_dir": str(tmp_path / "m.zarr"), "labels_of": str(tmp_path / "m.zarr")}
    out = analysed(**given)
    before = (out / "summary.json").stat().st_mtime_ns
    analysed(**given)  # the labels that it wrote into the volume itself change nothing
    assert (out / "summary.json").stat().st_mtime_ns == before
    volume.levels[0][1:3, :, :60] = 0
    assert "with other settings or of other masks" in str(cause(analysed, **given))
    assert json.loads((analysed(**given, overwrite=True) / "summary.json").read_text())["objects"] == 1


def test_valid_masks_and_files_of_one_name_are_looked_at(analysed: Callable, tmp_path: Path) -> None:
    for index, mask in enumerate(tubes(2)):
        write_section(tmp_path / "a" / "images" / f"a{index}.png", np.full(mask.shape, 100, np.uint8))
        write_section(tmp_path / "a" / "valid" / f"a{index}.png", np.full(mask.shape, 255, np.uint8), result=True)
        write_section(tmp_path / f"day{index}" / "masks" / "m.png", np.where(mask, np.uint8(255), np.uint8(0)))
        write_section(tmp_path / "masks" / f"a{index}_mitochondria.png", np.where(mask, np.uint8(255), np.uint8(0)))
    given = {**NM, "sections_dir": str(tmp_path / "a" / "images")}
    analysed(**given)
    analysed(**given)
    changed = np.pad(np.full((60, 90), 255, np.uint8), ((60, 0), (0, 0)))
    write_section(tmp_path / "a" / "valid" / "a1.png", changed, result=True)
    assert isinstance(cause(analysed, **given), FileExistsError)
    days = {**NM, "dataset_dir": str(tmp_path / "day*" / "masks" / "m.png"), "output_dir": str(tmp_path / "days")}
    analysed(**days)
    analysed(**days)
    write_section(tmp_path / "day0" / "masks" / "m.png", np.zeros((120, 90), np.uint8))
    assert isinstance(cause(analysed, **days), FileExistsError)
