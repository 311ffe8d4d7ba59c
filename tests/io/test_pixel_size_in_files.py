"""The pixel size that files state: read where it is one, doubted where it is none, and kept in results."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import itk
import nibabel as nib
import numpy as np
import pytest
import tifffile
from monai.data import DataLoader, Dataset, decollate_batch

from scripts.io import Header, Section, check_pixel_sizes, find_sections, read_header, result_path, write_section
from scripts.transforms import LoadSectiond, SaveSectiond

PIXELS = np.random.default_rng(0).integers(0, 200, (30, 20), np.uint8)


def tiff(**options: Any) -> Any:
    return lambda path: tifffile.imwrite(path, PIXELS, **{"photometric": "minisblack", "metadata": None, **options})


def tiff_with_tag(code: int, kind: int, value: Any) -> Any:
    return tiff(extratags=[(code, kind, len(value), value, True)])


def png(x: int, y: int, unit: int) -> Any:
    def write(path: Path) -> None:
        write_section(path, PIXELS.T)
        content, chunk = path.read_bytes(), b"pHYs" + struct.pack(">IIB", x, y, unit)
        path.write_bytes(
            content[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
        )

    return write


def nifti(unit: str, x: float, y: float) -> Any:
    def write(path: Path) -> None:
        image = nib.Nifti1Image(PIXELS.T, np.diag([x, y, 1, 1]))
        image.header.set_xyzt_units(unit)
        nib.save(image, path)

    return write


def nrrd(*fields: str) -> Any:
    def write(path: Path) -> None:
        lines = ["NRRD0004", "type: uint8", "dimension: 2", "sizes: 20 30", "encoding: raw", *fields]
        path.write_bytes("\n".join(lines).encode() + b"\n\n" + PIXELS.tobytes())

    return write


def mrc(mode: int, pixels: np.ndarray, cell: tuple[float, float]) -> Any:
    def write(path: Path) -> None:
        depth = pixels.shape[0] if pixels.ndim == 3 else 1
        header = bytearray(1024)
        struct.pack_into("<4i", header, 0, 20, 30, depth, mode)
        struct.pack_into("<3i", header, 28, 20, 30, depth)
        struct.pack_into("<6f", header, 40, *cell, 100, 90, 90, 90)
        struct.pack_into("<3i", header, 64, 1, 2, 3)
        header[208:216] = b"MAP \x44\x44\0\0"
        path.write_bytes(bytes(header) + pixels.tobytes())

    return write


def ome(**sizes: Any) -> Any:
    return tiff(ome=True, metadata={"axes": "YX", **sizes})


FEI = "[User]\r\nUser=x\r\n[Scan]\r\nPixelWidth=4e-09\r\nPixelHeight=5e-09\r\n\0"
ZEISS = "\r\n".join(["0"] * 70) + "\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 4.5 nm\r\n\0"

STATED = {
    "centimetre": (".tif", tiff(resolution=(2.5e6, 2e6), resolutionunit="CENTIMETER"), (4, 5)),
    "inch": (".tif", tiff(resolution=(6.35e6, 5.08e6), resolutionunit="INCH"), (4, 5)),
    "millimetre": (".tif", tiff(resolution=(250000, 200000), resolutionunit=4), (4, 5)),
    "micrometre": (".tif", tiff(resolution=(250, 200), resolutionunit=5), (4, 5)),
    "imagej nm": (".tif", tiff(imagej=True, resolution=(0.25, 0.2), metadata={"unit": "nm"}), (4, 5)),
    "imagej micron": (".tif", tiff(imagej=True, resolution=(250, 200), metadata={"unit": "micron"}), (4, 5)),
    "imagej µm": (".tif", tiff(imagej=True, resolution=(250, 200), metadata={"unit": "\\u00B5m"}), (4, 5)),
    "ome nm": (
        ".ome.tif",
        ome(PhysicalSizeX=4.0, PhysicalSizeXUnit="nm", PhysicalSizeY=5.0, PhysicalSizeYUnit="nm"),
        (4, 5),
    ),
    "ome without unit": (".ome.tif", ome(PhysicalSizeX=0.004, PhysicalSizeY=0.005), (4, 5)),
    "fei": (".tif", tiff_with_tag(34682, 2, FEI), (4, 5)),
    "fei sfeg": (".tif", tiff_with_tag(34680, 2, FEI.replace("[Scan]", "[EScan]")), (4, 5)),
    "zeiss": (".tif", tiff_with_tag(34118, 2, ZEISS), (4.5, 4.5)),
    "png": (".png", png(250_000_000, 200_000_000, 1), (4, 5)),
    "nifti mm": (".nii", nifti("mm", 4e-6, 5e-6), (4, 5)),
    "nifti micron": (".nii.gz", nifti("micron", 4e-3, 5e-3), (4, 5)),
    "nrrd units": (".nrrd", nrrd("spacings: 4 5", 'units: "nm" "nm"'), (4, 5)),
    "nrrd space units": (
        ".nrrd",
        nrrd("space dimension: 2", "space directions: (0.004,0) (0,0.005)", 'space units: "um" "um"'),
        (4, 5),
    ),
    "mrc": (".mrc", mrc(6, PIXELS.astype("<u2"), (800, 1500)), (4, 5)),
}

NOT_BELIEVED = {
    "72 dpi": (".tif", tiff(resolution=(72, 72), resolutionunit="INCH")),
    "300 dpi": (".tif", tiff(resolution=(300, 300), resolutionunit="INCH")),
    "1 inch": (".tif", tiff(resolution=(1, 1), resolutionunit="INCH")),
    "1 per centimetre": (".tif", tiff(resolution=(1, 1), resolutionunit="CENTIMETER")),
    "imagej inch": (".tif", tiff(imagej=True, resolution=(72, 72), metadata={"unit": "inch"})),
    "imagej one micron": (".tif", tiff(imagej=True, resolution=(0.1, 0.1), metadata={"unit": "micron"})),
    "ome one µm": (".ome.tif", ome(PhysicalSizeX=10.0, PhysicalSizeY=10.0)),
    "png 72 dpi": (".png", png(2835, 2835, 1)),
    "nifti one mm": (".nii", nifti("mm", 1, 1)),
    "too oblong": (".tif", tiff(resolution=(2.5e6, 1e5), resolutionunit="CENTIMETER")),
}

NO_UNIT = {
    "none": (".tif", tiff()),
    "unit none": (".tif", tiff(resolution=(0.25, 0.2), resolutionunit="NONE")),
    "imagej pixels": (".tif", tiff(imagej=True, resolution=(0.25, 0.25), metadata={"unit": "pixel"})),
    "imagej nothing": (".tif", tiff(imagej=True, resolution=(0.25, 0.25), metadata={})),
    "png aspect": (".png", png(5, 4, 0)),
    "nifti unknown": (".nii", nifti("unknown", 4e-6, 5e-6)),
    "nrrd": (".nrrd", nrrd("spacings: 4 5")),
}


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
