from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import SaveImaged

from scripts.io import read_section, write_section
from scripts.transforms import LoadSectiond, SaveSectiond


@pytest.mark.parametrize("suffix", [".png", ".tif", ".nii.gz", ".nrrd"])
def test_mask_has_format_and_size_of_its_section(tmp_path: Path, section: np.ndarray, suffix: str) -> None:
    write_section(tmp_path / f"a{suffix}", section)
    item = LoadSectiond("image")({"image": tmp_path / f"a{suffix}"})
    item["pred"] = (item["image"] > 60).float()
    SaveSectiond("pred", tmp_path / "out", "mask", scale=255)(item)
    np.testing.assert_array_equal(read_section(tmp_path / "out" / f"a_mask{suffix}"), np.where(section > 60, 255, 0))


def test_probability_of_a_png_becomes_a_tiff(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "a.png", section)
    item = LoadSectiond("image")({"image": tmp_path / "a.png"})
    item["pred"] = item["image"] / 255
    SaveSectiond("pred", tmp_path, "probability", output_dtype="float32")(item)
    np.testing.assert_allclose(read_section(tmp_path / "a_probability.tif"), section / 255, rtol=1e-6)


def test_stack_appears_when_its_last_section_has_come(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "stack.tif", np.stack([section, section], axis=-1))
    save = SaveSectiond("pred", tmp_path, "mask", scale=255)
    for page in (0, 1):
        item = LoadSectiond("image")({"image": tmp_path / "stack.tif", "page": page})
        assert not (tmp_path / "stack_mask.tif").exists()
        save({**item, "pred": torch.full((1, 20, 30), page)})
    assert [read_section(tmp_path / "stack_mask.tif", page).max() for page in (0, 1)] == [0, 255]


def test_what_exists_is_kept_unless_asked(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "a.png", section)
    item = LoadSectiond("image")({"image": tmp_path / "a.png"})
    for value, overwrite, expected in ((0, False, 0), (1, False, 0), (1, True, 255)):
        item["pred"] = torch.full((1, 20, 30), value)
        SaveSectiond("pred", tmp_path / "out", "mask", scale=255, overwrite=overwrite)(item)
        assert (read_section(tmp_path / "out" / "a_mask.png") == expected).all()


def test_servers_know_it_as_a_writer() -> None:
    assert isinstance(SaveSectiond("pred", ".", "mask"), SaveImaged)


def test_large_probabilities_are_scaled_and_rounded_as_one(tmp_path: Path) -> None:
    """In parts that bound the memory, of which the last is smaller."""
    probability = np.random.default_rng(0).random((3001, 1100), np.float32)
    write_section(tmp_path / "a.tif", np.zeros(probability.shape, np.uint8))
    item = LoadSectiond("image")({"image": tmp_path / "a.tif"})
    item["pred"] = torch.from_numpy(probability)[None]
    SaveSectiond("pred", tmp_path, "probability", output_dtype="uint16", scale=65535)(item)
    written = read_section(tmp_path / "a_probability.tif")
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(written, np.rint(probability * np.float32(65535)))
