"""The pixel size that results state: the one that was used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import itk
import nibabel as nib
import numpy as np
import pytest
from monai.data import DataLoader, Dataset, decollate_batch
from sized_files import NO_UNIT, NOT_BELIEVED, PIXELS, STATED, tiff

from scripts.io import MARK, Header, Section, find_sections, read_header, result_path, write_section
from scripts.transforms import LoadSectiond, SaveSectiond


@pytest.mark.parametrize(
    "fields",
    [
        ("space dimension: 3", "space directions: (4,0,0) (0,5,0) (0,0,50)", 'space units: "nm" "nm" "nm"'),
        ("spacings: 0.004 0.005 0.05", 'units: "um" "um" "um"'),
        ("space: left-posterior-superior", "space directions: (4e-6,0,0) (0,5e-6,0) (0,0,5e-5)"),
        ("spacings: 4 5 50",),
        ("spacings: 0.0004 0.0005 0.005",),  # a pixel size, if it were of millimetres
    ],
)
def test_nrrd_volumes_keep_their_unit(tmp_path: Path, fields: tuple[str, ...]) -> None:
    lines = ["NRRD0004", "type: uint8", "dimension: 3", "sizes: 20 15 2", "encoding: raw", *fields]
    (tmp_path / "a.nrrd").write_bytes("\n".join(lines).encode() + b"\n\n" + PIXELS.tobytes())
    before = read_header(tmp_path / "a.nrrd")
    assert (before.pixel_size_nm is None) == (len(fields) == 1)
    write_section(tmp_path / "mask.nrrd", PIXELS.reshape(2, 15, 20).T, like=before, result=True)
    after = read_header(tmp_path / "mask.nrrd")
    assert (after.pixel_size_nm, after.doubt, after.result) == (before.pixel_size_nm, before.doubt, True)
    np.testing.assert_allclose(after.affine, before.affine)
    one, other = (itk.imread(str(tmp_path / name)) for name in ("a.nrrd", "mask.nrrd"))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(one.GetSpacing(), other.GetSpacing())


WRITTEN = [kind for kind, entry in {**STATED, **NOT_BELIEVED, **NO_UNIT}.items() if entry[0] != ".mrc"]


def header_of_mask(section: Section, folder: Path, **options: Any) -> Header:
    """What the mask of a section says, written as an inference writes it."""
    load = LoadSectiond("image", default_pixel_size=10, **options)
    (batch,) = DataLoader(Dataset([section], load), batch_size=1)
    SaveSectiond("image", folder, "mask")(decollate_batch(batch)[0])
    return read_header(result_path(section.path, folder, "mask"))


@pytest.mark.parametrize("kind", WRITTEN)
def test_results_have_the_size_that_was_used(tmp_path: Path, kind: str) -> None:
    suffix, write = {**STATED, **NOT_BELIEVED, **NO_UNIT}[kind][:2]
    write(tmp_path / f"a{suffix}")
    (tmp_path / "list.json").write_text(json.dumps({"test": [f"a{suffix}"], "pixel_size_nm": [7, 8.4]}))
    (plain,), (listed,) = (find_sections(tmp_path / name) for name in (f"a{suffix}", "list.json"))
    write_section(tmp_path / f"written{suffix}", PIXELS.T, like=listed)
    results = {
        "stated": header_of_mask(plain, tmp_path / "stated", pixel_size=[7, 8.4]),
        "listed": header_of_mask(listed, tmp_path / "listed"),
        "written": read_header(tmp_path / f"written{suffix}"),
    }
    for way, header in results.items():
        assert header.pixel_size_nm == pytest.approx((7, 8.4), rel=1e-4), way
        assert header.doubt is None
        assert {"ome", "imagej"} & header.form.keys() == {"ome", "imagej"} & plain.header.form.keys()
    assumed = header_of_mask(plain, tmp_path / "plain").pixel_size_nm
    assert assumed == plain.pixel_size_nm or assumed == pytest.approx(plain.pixel_size_nm, rel=1e-4)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd"])
def test_lengths_beside_the_pixel_size(tmp_path: Path, suffix: str) -> None:
    """They stay where the file has a unit, and are in the unit of the pixels where it has none."""
    for unit in ("mm", None):
        volume = PIXELS.reshape(2, 15, 20)
        if suffix == ".nii":
            image = nib.Nifti1Image(volume.T, np.diag([2.0, 2.0, 20.0, 1.0]))
            image.header.set_xyzt_units(unit or "unknown")
            nib.save(image, tmp_path / "a.nii")
        else:
            lines = ["NRRD0004", "type: uint8", "dimension: 3", "sizes: 20 15 2", "encoding: raw", "spacings: 2 2 20"]
            lines += ['units: "mm" "mm" "mm"'] if unit else []
            (tmp_path / "a.nrrd").write_bytes("\n".join(lines).encode() + b"\n\n" + volume.tobytes())
        like = replace(find_sections(tmp_path / f"a{suffix}")[0], pixel_size_nm=(4, 4))
        write_section(tmp_path / f"mask{suffix}", volume.T, like=like)
        result = read_header(tmp_path / f"mask{suffix}")
        assert result.pixel_size_nm == pytest.approx((4, 4))
        steps = np.linalg.norm(np.array(result.affine)[:3, :3], axis=0)
        assert steps[2] / steps[0] == pytest.approx(20 / 4e-6 if unit else 10)


def test_a_resolution_goes_with_its_unit(tmp_path: Path) -> None:
    """ImageJ's form has no numbers of some pixel types, and its resolution no unit without it."""
    tiff(imagej=True, resolution=(250, 200), metadata={"unit": "micron"})(tmp_path / "a.tif")
    write_section(tmp_path / "b.tif", PIXELS.T.astype(np.int32), like=find_sections(tmp_path)[0])
    assert read_header(tmp_path / "b.tif").pixel_size_nm == pytest.approx((4, 5), rel=1e-4)


def test_a_size_that_png_cannot_state(tmp_path: Path) -> None:
    write_section(tmp_path / "a.png", PIXELS.T)
    like = replace(find_sections(tmp_path)[0], pixel_size_nm=(0.2, 0.2))
    write_section(tmp_path / "b.png", PIXELS.T, like=like)
    assert read_header(tmp_path / "b.png").pixel_size_nm is None


def test_notes_in_an_nrrd_file(tmp_path: Path) -> None:
    """However long they are, the unit and the mark that stand behind them are read."""
    lines = ["NRRD0004", "type: uint8", "dimension: 2", "sizes: 20 30", "encoding: raw", "spacings: 4 5"]
    lines += [f"note {number}:={'x' * 1000}" for number in range(100)] + ['units: "nm" "nm"', f"Software:={MARK}"]
    (tmp_path / "a.nrrd").write_bytes("\n".join(lines).encode() + b"\n\n" + PIXELS.tobytes())
    header = read_header(tmp_path / "a.nrrd")
    assert (header.pixel_size_nm, header.result) == ((4, 5), True)


def test_a_nifti_file_of_two_minds(tmp_path: Path) -> None:
    """The size that is read, pixdim, is that of the result; so is the place, though it is of other pixels."""
    image = nib.Nifti1Image(PIXELS.T, np.eye(4))
    image.header.set_xyzt_units("micron")
    image.header["pixdim"][1:3] = 4e-3, 5e-3
    nib.save(image, tmp_path / "a.nii")
    (section,) = find_sections(tmp_path / "a.nii")
    assert section.pixel_size_nm == pytest.approx((4, 5))
    result = header_of_mask(section, tmp_path / "out")
    assert (result.pixel_size_nm, result.affine) == (pytest.approx((4, 5)), section.affine)
    assert header_of_mask(section, tmp_path / "stated", pixel_size=8).pixel_size_nm == pytest.approx((8, 8))
