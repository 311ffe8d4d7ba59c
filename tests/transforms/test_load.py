from __future__ import annotations

import tempfile
from multiprocessing.process import current_process
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor

from scripts.io import write_section
from scripts.transforms import BinarizeLabeld, LoadSectiond


def test_section_and_label(labelled: Path, section: np.ndarray) -> None:
    item = LoadSectiond(["image", "label"])({"image": labelled / "image.png", "label": labelled / "label.png"})
    assert isinstance(item["image"], MetaTensor)
    assert item["image"].dtype == torch.uint8
    assert item["image"].meta["filename_or_obj"] == str(labelled / "image.png")
    np.testing.assert_array_equal(item["image"].numpy(), section[None])
    label = BinarizeLabeld("label")(item)["label"]
    assert label.dtype == torch.uint8
    np.testing.assert_array_equal(label.numpy(), section[None] > 60)


def test_page_of_a_stack(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "stack.tif", np.stack([section, 2 * section], axis=-1))
    item = LoadSectiond("image")({"image": tmp_path / "stack.tif", "page": 1})
    np.testing.assert_array_equal(item["image"].numpy()[0], 2 * section)
    assert item["image"].meta["page"] == 1


def test_label_error_names_the_file(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "instances.png", section // 40)
    item = LoadSectiond("label")({"label": tmp_path / "instances.png"})
    with pytest.raises(ValueError, match=r"instances.png: label values run from 0"):
        BinarizeLabeld("label")(item)


def test_declared_instances(tmp_path: Path, section: np.ndarray) -> None:
    instances = np.where(section > 60, section.astype(np.uint32) + 2**25, 0)
    write_section(tmp_path / "instances.tif", instances)
    item = LoadSectiond("label")({"label": tmp_path / "instances.tif", "label_format": "instances"})
    np.testing.assert_array_equal(BinarizeLabeld("label")(item)["label"].numpy()[0], section > 60)


def test_sections_come_from_a_loading_process_where_names_of_temporary_files_are_long(
    tmp_path: Path, section: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a socket has some 100 bytes; the run waited for ever."""
    write_section(tmp_path / "a.png", section)
    folder = tmp_path / ("scratch_job_" * 9)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setitem(current_process()._config, "tempdir", None)  # as in a process that has just begun
    loader = DataLoader(Dataset([{"image": tmp_path / "a.png"}], LoadSectiond("image")), num_workers=1, timeout=60)
    (batch,) = loader
    np.testing.assert_array_equal(batch["image"][0, 0].numpy(), section)
    assert tempfile.gettempdir() == str(folder)  # for all else


@pytest.mark.parametrize("unknown", ["ignore_value", "known"])
def test_instances_where_nothing_is_known_are_none(tmp_path: Path, unknown: str) -> None:
    numbers = np.zeros((20, 30), np.uint16)
    numbers[2:6], numbers[10:] = 7, 999
    write_section(tmp_path / "instances.tif", numbers)
    write_section(tmp_path / "known.png", np.where(numbers == 999, 0, 255).astype(np.uint8))
    said = {"ignore_value": 999, "known": str(tmp_path / "known.png")}[unknown]
    item = {"label": tmp_path / "instances.tif", "label_format": "instances", unknown: said}
    item = BinarizeLabeld("label", instances_key="instances")(LoadSectiond("label")(item))
    np.testing.assert_array_equal(item["instances"].numpy()[0], np.where(numbers == 999, 0, numbers))
    np.testing.assert_array_equal(item["label"].numpy()[0], np.select([numbers == 7, numbers == 999], [1, 255]))
    assert item["instances"].meta["filename_or_obj"] == str(tmp_path / "instances.tif")
