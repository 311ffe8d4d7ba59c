from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr

from bundle.volumes import convert as module
from bundle.volumes.convert import convert
from scripts.io import find_sections, read_header, read_section, write_section
from scripts.io.volume import Volume

STACK = np.random.default_rng(0).integers(0, 60000, (4, 30, 40), np.uint16)


@pytest.fixture
def sections(tmp_path: Path) -> Path:
    for page, section in enumerate(STACK):
        write_section(tmp_path / "in" / f"s{page}.tif", section.T)
    return tmp_path / "in"


def test_there_and_back(sections: Path, tmp_path: Path) -> None:
    said = convert(str(sections), str(tmp_path / "a.zarr"), pixel_size=[5, 6], section_thickness=50)
    assert said.endswith("a.zarr: 4 sections of 40x30, pixels of 5 x 6 nm")
    header = read_header(tmp_path / "a.zarr")
    assert (header.pixel_size_nm, header.form["section_thickness_nm"]) == ((5, 6), 50)
    convert(str(tmp_path / "a.zarr"), str(tmp_path / "out"))
    found = find_sections(tmp_path / "out")
    np.testing.assert_array_equal([read_section(section).T for section in found], STACK)
    assert all(section.pixel_size_nm == pytest.approx((5, 6), rel=1e-3) for section in found)


@pytest.mark.parametrize("name", ["a.zarr", "out"])
def test_an_interrupted_conversion_goes_on(
    sections: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    read = []

    def reading(section: object) -> np.ndarray:
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(section)
        return read_section(section)

    monkeypatch.setattr(module, "read_section", reading)
    with pytest.raises(KeyboardInterrupt):
        convert(str(sections), str(tmp_path / name))
    if name == "a.zarr":
        with pytest.raises(ValueError, match="is not complete"):
            find_sections(tmp_path / name)
    monkeypatch.setattr(module, "read_section", lambda section: read.append(section) or read_section(section))
    for _ in range(2):
        convert(str(sections), str(tmp_path / name))
        assert len(read) == 4
    np.testing.assert_array_equal([read_section(section).T for section in find_sections(tmp_path / name)], STACK)


@pytest.mark.parametrize("name", ["a.zarr", "out"])
def test_other_sections_are_not_mixed_in(sections: Path, tmp_path: Path, name: str) -> None:
    convert(str(sections), str(tmp_path / name))
    with pytest.raises(FileExistsError, match=rf"{re.escape(name)}.* is of other sections or settings"):
        convert(str(sections / "s1.tif"), str(tmp_path / name))
    convert(str(sections / "s1.tif"), str(tmp_path / name), overwrite=True)
    (section,) = find_sections(tmp_path / name)
    np.testing.assert_array_equal(read_section(section).T, STACK[1])


def test_sections_that_are_no_volume(sections: Path, tmp_path: Path) -> None:
    write_section(sections / "s4.tif", STACK[0][:20].T)
    with pytest.raises(ValueError, match=r"s4\.tif: must be of 40x30 pixels as .*s0\.tif, but got 40x20"):
        convert(str(sections), str(tmp_path / "a.zarr"))
    write_section(sections / "s4.tif", STACK[0].T.astype(np.uint8))
    with pytest.raises(ValueError, match=r"s4\.tif: must have pixels of uint16 .*, but got uint8"):
        convert(str(sections), str(tmp_path / "a.zarr"))
    with pytest.raises(ValueError, match="section_thickness must be nanometres"):
        convert(str(sections / "s1.tif"), str(tmp_path / "a.zarr"), section_thickness=0.05)
    with pytest.raises(ValueError, match=r"version must be one of 0\.5, 0\.4"):
        convert(str(sections / "s1.tif"), str(tmp_path / "a.zarr"), version="0.3")
    assert not (tmp_path / "a.zarr").exists()


def test_a_folder_of_someone_else_is_left_alone(sections: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is no volume of this bundle"):
        convert(str(sections), str(tmp_path / "a.zarr"), overwrite=True)
    assert (tmp_path / "a.zarr" / "mine.txt").read_text() == "mine"


def test_masks_stay_masks(sections: Path, tmp_path: Path) -> None:
    write_section(tmp_path / "m_mitochondria.png", np.full((1100, 20), 255, np.uint8), result=True)
    convert(str(tmp_path / "m_mitochondria.png"), str(tmp_path / "m.zarr"))
    assert read_header(tmp_path / "m.zarr").result
    assert not Volume(tmp_path / "m.zarr").average


def test_labels_of_a_volume(tmp_path: Path) -> None:
    Volume.create(tmp_path / "r.zarr", STACK.shape, np.uint8, (50, 5, 5), result=True).complete()
    labels = Volume.create_labels(tmp_path / "r.zarr", "mitochondria", STACK.shape, voxel_size_nm=(50, 5, 5))
    for page, section in enumerate(STACK):
        labels.write(page, section)
    labels.complete()
    convert(str(tmp_path / "r.zarr" / "labels" / "mitochondria"), str(tmp_path / "out"))
    found = find_sections(tmp_path / "out")
    np.testing.assert_array_equal([read_section(section).T for section in found], STACK)
    assert found[0].dtype == "uint32"
    assert found[0].pixel_size_nm == pytest.approx((5, 5), rel=1e-3)


@pytest.fixture
def aligned(sections: Path, tmp_path: Path) -> Path:
    """What a registration leaves: sections, and masks of where all but the last of them are valid."""
    (tmp_path / "aligned").mkdir()
    sections.rename(tmp_path / "aligned" / "images")
    for page in range(3):
        valid = np.full((40, 30), 255, np.uint8)
        valid[: 5 * (page + 1)] = 0
        write_section(tmp_path / "aligned" / "valid" / f"s{page}.png", valid, result=True)
    return tmp_path / "aligned"


def invalid(source: Path) -> list[int]:
    """Columns of each section that are not valid."""
    found = find_sections(source)
    return [int((read_section(s.valid, s.page)[:, 0] == 0).sum()) if s.valid else 0 for s in found]


def test_valid_masks_come_along(aligned: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    convert(str(aligned / "images"), str(tmp_path / "v" / "images.zarr"), pixel_size=5)
    assert invalid(tmp_path / "v" / "images.zarr") == [5, 10, 15, 0]
    assert read_header(tmp_path / "v" / "valid.zarr").result
    convert(str(tmp_path / "v" / "images.zarr"), str(tmp_path / "f" / "images"))
    convert(str(tmp_path / "v" / "images.zarr"), str(tmp_path / "f" / "images"))
    assert invalid(tmp_path / "f" / "images") == [5, 10, 15, 0]
    np.testing.assert_array_equal([read_section(s).T for s in find_sections(tmp_path / "f" / "images")], STACK)
    assert not caplog.records
    for name in ("other.zarr", "other"):
        convert(str(aligned / "images"), str(tmp_path / name))
        assert invalid(tmp_path / name) == [0] * 4
        assert f"{name}: has no masks of where its sections are valid" in caplog.records.pop().getMessage()
    write_section(aligned / "valid" / "s0.png", np.full((40, 30), 255, np.uint8), result=True)
    with pytest.raises(FileExistsError, match=r"valid\.zarr: is of other sections or settings"):
        convert(str(aligned / "images"), str(tmp_path / "v" / "images.zarr"), pixel_size=5)
    convert(str(aligned / "images"), str(tmp_path / "v" / "images.zarr"), pixel_size=5, overwrite=True)
    assert invalid(tmp_path / "v" / "images.zarr") == [0, 10, 15, 0]


@pytest.mark.parametrize("name", ["images.zarr", "images"])
def test_masks_of_other_sections_are_not_left_beside(aligned: Path, tmp_path: Path, name: str) -> None:
    convert(str(aligned / "images"), str(tmp_path / "v" / name))
    shutil.rmtree(aligned / "valid")
    with pytest.raises(FileExistsError, match=r"must be of the sections in .*images.*, but is not"):
        convert(str(aligned / "images"), str(tmp_path / "v" / name), overwrite=True)


def test_a_full_disk(sections: Path, small_disk: Callable) -> None:
    disk = small_disk(65536)
    (disk / "others").write_bytes(bytes(38000))
    rng = np.random.default_rng(0)
    for page in range(4):
        write_section(sections / f"s{page}.tif", rng.integers(0, 60000, (60, 70), np.uint16))
    with pytest.raises(OSError, match=r"a\.zarr: section \d: cannot be written"):
        convert(str(sections), str(disk / "a.zarr"))
    with pytest.raises(ValueError, match="is not complete"):
        find_sections(disk / "a.zarr")
    (disk / "others").unlink()
    convert(str(sections), str(disk / "a.zarr"))
    assert len(find_sections(disk / "a.zarr")) == 4
    for page in range(4):
        np.testing.assert_array_equal(read_section(disk / "a.zarr", page), read_section(sections / f"s{page}.tif"))


def scaled_nifti(path: Path) -> None:
    """Values from 0 to 1, stored as integers."""
    image = nib.Nifti1Image(STACK.T / np.float32(60000), np.eye(4))
    image.header.set_data_dtype(np.int16)
    nib.save(image, path)


def palette(path: Path) -> None:
    """Grey levels of 16 bits, which are no 8-bit ones times 256 or 257."""
    levels = (np.linspace(0, 1, 256) ** 0.5 * 65535).astype(np.uint16)
    tifffile.imwrite(path, (STACK >> 8).astype(np.uint8), photometric="palette", colormap=np.stack([levels] * 3))


@pytest.mark.parametrize(
    ("name", "write", "dtype"),
    [("a.nii", scaled_nifti, "float64"), ("a.nii.gz", scaled_nifti, "float64"), ("a.tif", palette, "uint16")],
)
def test_a_volume_has_the_pixels_that_are_read(tmp_path: Path, name: str, write: Callable, dtype: str) -> None:
    write(tmp_path / name)
    sections = find_sections(tmp_path / name)
    pixels = [read_section(section) for section in sections]
    assert {sections[0].dtype, *(section.dtype.name for section in pixels)} == {dtype}
    assert len(np.unique(pixels)) > 100
    convert(str(tmp_path / name), str(tmp_path / "a.zarr"))
    np.testing.assert_array_equal([read_section(section) for section in find_sections(tmp_path / "a.zarr")], pixels)


def test_a_volume_of_another_pixel_type_is_not_gone_on_with(sections: Path, tmp_path: Path) -> None:
    """As an earlier version made of files whose header scales their values."""
    convert(str(sections), str(tmp_path / "a.zarr"))
    own = Volume(tmp_path / "a.zarr").own()
    Volume.create(tmp_path / "b.zarr", STACK.shape, "int16", version="0.5", **own).complete()
    with pytest.raises(FileExistsError, match=r"b\.zarr: is of other sections or settings"):
        convert(str(sections), str(tmp_path / "b.zarr"))
    convert(str(sections), str(tmp_path / "b.zarr"), overwrite=True)
    assert read_header(tmp_path / "b.zarr").dtype == "uint16"


@pytest.mark.parametrize("own", [None, 8])
def test_files_have_the_size_that_is_stated(tmp_path: Path, own: float | None) -> None:
    size = {} if own is None else {"resolution": (1e7 / own, 1e7 / own), "resolutionunit": 3}
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], **size)
    convert(str(tmp_path / "a.tif"), str(tmp_path / "out"))
    assert read_header(tmp_path / "out" / "section_00000.tif").pixel_size_nm == (own and (own, own))
    said = convert(str(tmp_path / "a.tif"), str(tmp_path / "out"), pixel_size=[4, 5], overwrite=True)
    assert said.endswith("pixels of 4 x 5 nm")
    written = tmp_path / "out" / "section_00000.tif"
    for _ in range(2):
        assert read_header(written).pixel_size_nm == pytest.approx((4, 5), rel=1e-4)
        tifffile.imwrite(written, STACK[0], **size)  # as an earlier version left it
        convert(str(tmp_path / "a.tif"), str(tmp_path / "out"), pixel_size=[4, 5])


def test_labels_of_a_person_are_not_removed_with_their_volume(sections: Path, tmp_path: Path) -> None:
    convert(str(sections), str(tmp_path / "a.zarr"), pixel_size=5)
    labels = zarr.open_group(tmp_path / "a.zarr", mode="r+").require_group("labels/corrected")
    labels.create_array("0", shape=STACK.shape, chunks=STACK.shape, dtype=np.uint32)[:] = 42
    with pytest.raises(FileExistsError, match=r"labels/corrected: .* would be removed with the volume"):
        convert(str(sections), str(tmp_path / "a.zarr"), pixel_size=6, overwrite=True)
    assert (labels["0"][:] == 42).all()


@pytest.mark.parametrize("name", ["", "v.zarr", "V.ZARR"])
def test_an_output_among_the_sections(sections: Path, name: str) -> None:
    """Later commands would see each section twice."""
    before = sorted(sections.iterdir())
    with pytest.raises(ValueError, match=r"the output must not lie beside the section .*; choose another --output"):
        convert(str(sections), str(sections / name), pixel_size=5)
    assert sorted(sections.iterdir()) == before
    convert(str(before[0]), str(sections / "one.zarr"), pixel_size=5)  # a file does not name the volume too


def test_a_volume_beside_the_one_that_it_is_made_of(sections: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.zarr"
    convert(str(sections), str(one), pixel_size=5)
    convert(str(one), str(tmp_path / "two.zarr"), version="0.4")
    pages = [[read_section(section) for section in find_sections(volume)] for volume in (one, tmp_path / "two.zarr")]
    np.testing.assert_array_equal(*pages)
    with pytest.raises(ValueError, match=r"one\.zarr: the output must be another one than what is converted"):
        convert(str(one), str(one), pixel_size=6, overwrite=True)
    np.testing.assert_array_equal([read_section(section) for section in find_sections(one)], pages[0])


def test_a_suffix_in_capitals(sections: Path, tmp_path: Path) -> None:
    convert(str(sections), str(tmp_path / "V.ZARR"), pixel_size=5)
    np.testing.assert_array_equal(
        [read_section(section) for section in find_sections(tmp_path / "V.ZARR")],
        [read_section(section) for section in find_sections(sections)],
    )
