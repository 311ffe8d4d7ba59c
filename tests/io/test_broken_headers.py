"""Numbers in headers that are none: they are left out when the file is read, and results are written all the same."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from sized_files import PIXELS, mrc, nifti, nrrd, ome, tiff_with_tag

from scripts.io import Section, find_sections, read_header, read_section, result_path, write_section

BROKEN = ("0,005", "", "unknown", "nan", "inf", "-1", "0")


def results(path: Path, *sizes: tuple[float, float] | None) -> list[tuple[float, float] | None]:
    """Pixel sizes of results, where those are used."""
    (section,) = find_sections(path)
    stated = []
    for size in sizes:
        result = result_path(path, path.parent / "out", "mask")
        like = Section(section.header, pixel_size_nm=size or section.pixel_size_nm)
        write_section(result, read_section(section), like=like)
        np.testing.assert_array_equal(read_section(result), PIXELS.T)
        stated.append(read_header(result).pixel_size_nm)
    return stated


def assert_unknown(path: Path) -> None:
    """No pixel size is read, results have none, and the one that is stated."""
    assert read_header(path).pixel_size_nm is None
    assert results(path, None, (4, 5)) == [None, pytest.approx((4, 5), rel=1e-4)]


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("axis", "XZ")
def test_physical_sizes_of_ome(tmp_path: Path, value: str, axis: str) -> None:
    sizes = {"PhysicalSizeX": 0.00412345678, "PhysicalSizeY": 0.005, "PhysicalSizeZ": 0.05123456789}
    ome(**sizes)(tmp_path / "a.ome.tif")
    whole = f'PhysicalSize{axis}="{sizes[f"PhysicalSize{axis}"]}"'.encode()
    content = (tmp_path / "a.ome.tif").read_bytes()
    assert whole in content
    broken = f'PhysicalSize{axis}="{value}"'.encode().ljust(len(whole))
    (tmp_path / "a.ome.tif").write_bytes(content.replace(whole, broken))
    if axis == "X":
        assert_unknown(tmp_path / "a.ome.tif")
    else:
        assert results(tmp_path / "a.ome.tif", None) == [pytest.approx((4.12345678, 5), rel=1e-4)]
    with tifffile.TiffFile(tmp_path / "out" / "a.ome_mask.tif") as tiff:
        assert tiff.is_ome
        assert f'PhysicalSize{axis}="{value}"' not in tiff.pages[0].description


@pytest.mark.parametrize("value", BROKEN)
def test_tags_of_microscopes(tmp_path: Path, value: str) -> None:
    fei = f"[User]\r\nUser=x\r\n[Scan]\r\nPixelWidth={value}\r\nPixelHeight={value}\r\n\0"
    zeiss = "\r\n".join(["0"] * 70) + "\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {}\r\n\0"
    for code, content in ((34682, fei), (34118, zeiss.format(f"{value} nm")), (34118, zeiss.format(f"5 {value}"))):
        tiff_with_tag(code, 2, content)(tmp_path / "a.tif")
        assert_unknown(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "fields",
    [
        ("spacings: nan 5",),
        ("spacings: 4 nan",),
        ("content: nothing",),
    ],
)
def test_spacings_of_nrrd(tmp_path: Path, fields: tuple[str, ...]) -> None:
    nrrd(*fields, 'units: "nm" "nm"')(tmp_path / "a.nrrd")
    assert_unknown(tmp_path / "a.nrrd")


def test_an_axis_of_nrrd_that_is_turned_round(tmp_path: Path) -> None:
    nrrd("spacings: -4 5", 'units: "nm" "nm"')(tmp_path / "a.nrrd")
    assert results(tmp_path / "a.nrrd", None) == [(4, 5)]
    before, after = (read_header(tmp_path / name).affine for name in ("a.nrrd", "out/a_mask.nrrd"))
    np.testing.assert_allclose(before, after)
    assert before[0][0] == 4  # ITK's axes point to the left


@pytest.mark.parametrize("field", ["(4,0) (5,0)", "(0,0) (0,5)", "(1e-300,0) (0,1e-300)"])
def test_axes_of_nrrd_that_span_nothing(tmp_path: Path, field: str) -> None:
    nrrd("space dimension: 2", f"space directions: {field}", 'space units: "nm" "nm"')(tmp_path / "a.nrrd")
    with pytest.raises(ValueError, match=r"a\.nrrd: .*its axes must span 2 dimensions, but got spacings of"):
        find_sections(tmp_path)


@pytest.mark.parametrize("unit", ["micron", "unknown"])
@pytest.mark.parametrize("form", ["pixdim", "sform"])
@pytest.mark.parametrize("length", [0, np.nan, np.inf])
def test_a_place_of_nifti(tmp_path: Path, unit: str, form: str, length: float) -> None:
    nifti(unit, 4e-3, 5e-3)(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<ff", content, 80, length, 5e-3)
    struct.pack_into("<hh", content, 252, 0, 2 * (form == "sform"))
    struct.pack_into("<f", content, 280, length)
    (tmp_path / "a.nii").write_bytes(content)
    assert_unknown(tmp_path / "a.nii")


def test_a_unit_of_nifti_that_there_is_not(tmp_path: Path) -> None:
    nifti("micron", 4e-3, 5e-3)(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[123] = 7
    (tmp_path / "a.nii").write_bytes(content)
    assert_unknown(tmp_path / "a.nii")
    assert nib.load(tmp_path / "out" / "a_mask.nii").header.get_xyzt_units()[0] == "micron"


@pytest.mark.parametrize("cell", [(0, 0), (np.nan, 1500), (-800, 1500), (np.inf, 1500)])
def test_the_cell_of_mrc(tmp_path: Path, cell: tuple[float, float]) -> None:
    mrc(6, PIXELS.astype("<u2"), cell)(tmp_path / "a.mrc")
    assert_unknown(tmp_path / "a.mrc")


def test_a_cell_of_mrc_without_a_grid(tmp_path: Path) -> None:
    mrc(6, PIXELS.astype("<u2"), (800, 1500))(tmp_path / "a.mrc")
    content = bytearray((tmp_path / "a.mrc").read_bytes())
    struct.pack_into("<2i", content, 28, 0, 0)
    (tmp_path / "a.mrc").write_bytes(content)
    assert_unknown(tmp_path / "a.mrc")


@pytest.mark.parametrize("scale", [[50, 5, "x"], [50, 5, float("nan")], [50, 5, 0], [50, 5], "x", None])
def test_the_scale_of_ome_zarr(tmp_path: Path, scale: object) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    group.create_array("0", shape=(1, 30, 20), dtype="uint8")[:] = PIXELS[None]
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
    assert_unknown(tmp_path / "a.zarr")
    assert read_header(tmp_path / "a.zarr").form["section_thickness_nm"] == (50 if isinstance(scale, list) else None)


def test_a_nifti_file_whose_affine_is_flat_has_the_size_of_its_pixels(tmp_path: Path) -> None:
    nifti("micron", 5e-3, 5e-3)(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[252:256] = struct.pack("<hh", 0, 1)
    content[280:328] = struct.pack("<12f", 5e-3, 0, 0, 0, 0, 5e-3, 0, 0, 0, 0, 0, 0)
    (tmp_path / "a.nii").write_bytes(content)
    (found,) = find_sections(tmp_path / "a.nii")
    assert found.pixel_size_nm == pytest.approx((5, 5))
    write_section(tmp_path / "b.nii", read_section(found), like=found)
    assert read_header(tmp_path / "b.nii").pixel_size_nm == pytest.approx((5, 5))
