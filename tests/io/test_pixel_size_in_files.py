"""The pixel size that files state: read where it is one, doubted where it is none, and kept in results."""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np
import pytest
import tifffile
from sized_files import NO_UNIT, NOT_BELIEVED, PIXELS, STATED

from scripts.io import check_pixel_sizes, find_sections, read_header, result_path, write_section
from scripts.transforms import LoadSectiond, SaveSectiond


@pytest.mark.parametrize("kind", STATED)
def test_what_files_state(tmp_path: Path, kind: str) -> None:
    suffix, write, expected = STATED[kind]
    write(tmp_path / f"a{suffix}")
    (section,) = find_sections(tmp_path)
    np.testing.assert_allclose(section.pixel_size_nm, expected, rtol=1e-4)
    load = LoadSectiond("image", default_pixel_size=10)
    for item in (section, {"image": section.path}):
        np.testing.assert_allclose(load(item)["image"].meta["pixel_size"], expected, rtol=1e-4)
    stated = LoadSectiond("image", pixel_size=7)(section)["image"]
    np.testing.assert_array_equal(stated.meta["pixel_size"], (7, 7))


@pytest.mark.parametrize("kind", [*NOT_BELIEVED, *NO_UNIT])
def test_what_is_no_pixel_size(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    suffix, write = {**NOT_BELIEVED, **NO_UNIT}[kind]
    for name in ("a", "b"):
        write(tmp_path / f"{name}{suffix}")
    assert all(section.pixel_size_nm is None for section in find_sections(tmp_path))
    said = [record.message for record in caplog.records if "not believed" in record.message]
    assert len(said) == (kind in NOT_BELIEVED)
    assert all("a" + suffix in message for message in said)
    assert LoadSectiond("image", default_pixel_size=10)(find_sections(tmp_path)[0])["image"].meta["pixel_size"][0] == 10


@pytest.mark.parametrize("kind", [kind for kind in STATED if STATED[kind][0] != ".mrc"])
def test_results_have_the_pixel_size_in_the_same_form(tmp_path: Path, kind: str) -> None:
    suffix, write, expected = STATED[kind]
    write(tmp_path / f"a{suffix}")
    (section,) = find_sections(tmp_path)
    SaveSectiond("image", tmp_path / "out", "mask")(LoadSectiond("image")(section))
    result = result_path(section.path, tmp_path / "out", "mask")
    if suffix != ".nrrd":
        np.testing.assert_allclose(read_header(result).pixel_size_nm, expected, rtol=1e-4)
    else:
        np.testing.assert_allclose(read_header(result).form["spacing"], section.header.form["spacing"])
    if suffix.endswith(".tif"):
        with tifffile.TiffFile(tmp_path / f"a{suffix}") as before, tifffile.TiffFile(result) as after:
            assert (before.is_imagej, before.is_ome) == (after.is_imagej, after.is_ome)
            if before.is_imagej:
                assert after.imagej_metadata["unit"] == before.imagej_metadata["unit"]


@pytest.mark.parametrize(("suffix", "dtype"), [(".tif", "uint8"), (".tif", "float32")])
def test_results_of_other_formats_have_it_too(tmp_path: Path, suffix: str, dtype: str) -> None:
    STATED["png" if dtype == "float32" else "mrc"][1](tmp_path / ("a.png" if dtype == "float32" else "a.mrc"))
    (section,) = find_sections(tmp_path)
    SaveSectiond("image", tmp_path / "out", "mask", output_dtype=dtype)(LoadSectiond("image")(section))
    np.testing.assert_allclose(read_header(tmp_path / "out" / f"a_mask{suffix}").pixel_size_nm, (4, 5), rtol=1e-4)


BROKEN = {
    "0/0": [(282, (0, 0)), (283, (0, 0))],
    "x/0": [(282, (72, 0))],
    "0/x": [(283, (0, 1))],
    "unit 0": [(296, 0)],
    "unit 77": [(296, 77)],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_tags_of_resolution(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(72, 72), resolutionunit="INCH", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        for code, value in BROKEN[kind]:
            file.pages[0].tags[code].overwrite(value)
    check_result_of(tmp_path)
    assert ("not believed" in caplog.text) == ("/" in kind)


@pytest.mark.parametrize("values", [(2, "72"), (3, 72), (12, 72.0), (11, float("nan")), (10, (-1, 4)), (7, b"\0\1\2")])
def test_tags_of_resolution_of_another_type(tmp_path: Path, values: tuple) -> None:
    kind, value = values
    count = len(value) if isinstance(value, str | bytes) else 1
    tags = [(code, kind, count, value, True) for code in (282, 283)]
    tifffile.imwrite(tmp_path / "b.tif", PIXELS, metadata=None)
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, metadata=None, extratags=tags)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert int(file.pages[0].tags[282].dtype) in (kind, 5)
    (tmp_path / "b.tif").unlink()
    check_result_of(tmp_path)


def check_result_of(folder: Path) -> None:
    (section,) = find_sections(folder)
    assert section.pixel_size_nm is None
    SaveSectiond("image", folder / "out", "mask")(LoadSectiond("image")(section))
    np.testing.assert_array_equal(tifffile.imread(folder / "out" / "a_mask.tif"), PIXELS)


def test_what_the_user_states_comes_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    STATED["inch"][1](tmp_path / "a.tif")
    check_pixel_sizes(find_sections(tmp_path), 7, 10)
    assert "a.tif: says that its pixels are 4 x 5 nm; --pixel_size comes first" in caplog.text


def test_some_files_know_it_and_others_do_not(tmp_path: Path) -> None:
    STATED["inch"][1](tmp_path / "a.tif")
    write_section(tmp_path / "b.tif", PIXELS.T)
    with pytest.raises(ValueError, match=r"b\.tif: its pixel size is not known"):
        check_pixel_sizes(find_sections(tmp_path), None, 10)
    check_pixel_sizes(find_sections(tmp_path), 7, 10)


@pytest.mark.parametrize("kind", ["none", "centimetre", "inch", "png", "unit none"])
def test_pictures_lie_where_itk_places_them(tmp_path: Path, kind: str) -> None:
    suffix, write = {**STATED, **NO_UNIT}[kind][:2]
    write(tmp_path / f"a{suffix}")
    image = itk.imread(str(tmp_path / f"a{suffix}"))
    affine = np.diag([-image.GetSpacing()[0], -image.GetSpacing()[1], 1, 1])
    np.testing.assert_allclose(read_header(tmp_path / f"a{suffix}").affine, affine, rtol=1e-6)


def test_a_unit_without_a_resolution_is_none_in_the_result(tmp_path: Path) -> None:
    """ImageJ would take the unit for the pixel size."""
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, imagej=True, resolution=(1, 1), metadata={"unit": "um"})
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        for name in ("XResolution", "YResolution"):
            tiff.pages[0].tags[name].overwrite((0, 0))
    assert read_header(tmp_path / "a.tif").pixel_size_nm is None
    write_section(tmp_path / "mask.tif", PIXELS.T, like=tmp_path / "a.tif")
    assert read_header(tmp_path / "mask.tif").pixel_size_nm is None
