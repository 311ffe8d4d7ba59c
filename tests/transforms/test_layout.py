from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch

from scripts.io import write_section
from scripts.transforms import FileLayoutd, LoadSectiond


@pytest.mark.parametrize(("name", "axes"), [("a.png", 2), ("a.tif", 2), ("a.nii.gz", 3), ("a.nrrd", 3)])
def test_pictures_have_two_axes_and_volumes_three(tmp_path: Path, section: np.ndarray, name: str, axes: int) -> None:
    write_section(tmp_path / name, section)
    item = LoadSectiond("image")({"image": tmp_path / name})
    item["pred"] = (item["image"] > 60).float()
    mask = FileLayoutd("pred")(item)["pred"]
    assert mask.dtype == torch.uint8
    assert mask.shape == (20, 30, 1)[:axes]
    np.testing.assert_array_equal(mask.numpy().reshape(20, 30), section > 60)


def test_a_picture_can_get_a_volume_as_result(tmp_path: Path, section: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", section.T, resolution=(2, 4), resolutionunit="CENTIMETER")
    item = LoadSectiond("image")({"image": tmp_path / "a.tif", "result_extension": ".nrrd"})
    item["pred"] = torch.ones(1, 20, 30)
    item = FileLayoutd("pred")(item)
    assert item["pred"].shape == (20, 30, 1)
    assert list(item["image"].meta["spatial_shape"]) == [20, 30, 1]
    np.testing.assert_allclose(item["image"].meta["original_affine"], np.diag([-5, -2.5, 1, 1]))  # mm


def test_the_geometry_of_a_volume_is_known(tmp_path: Path, section: np.ndarray) -> None:
    affine = np.array([[-0.005, 0, 0, 3], [0, 0.004, 0, -4], [0, 0, 0.05, 5], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(section, affine), tmp_path / "a.nii.gz")
    image = LoadSectiond("image")({"image": tmp_path / "a.nii.gz"})["image"]
    np.testing.assert_allclose(image.meta["original_affine"], affine, atol=1e-7)
