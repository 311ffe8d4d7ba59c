from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import imagecodecs
import itk
import nibabel as nib
import numpy as np
import pytest
import tifffile
from disk import files_no_longer_than
from PIL import Image

from scripts.io import (
    WRITTEN,
    Header,
    Section,
    read_header,
    read_section,
    split_suffix,
    write_atomically,
    write_section,
)

DTYPES = {
    ".png": ("uint8", "uint16"),
    ".tif": ("uint8", "uint16", "float32"),
    ".tiff": ("uint8",),
    ".nii": ("uint8", "int16", "float32"),
    ".nii.gz": ("uint8", "float32"),
    ".nrrd": ("uint8", "uint16", "float32"),
}
CASES = [(suffix, dtype) for suffix, dtypes in DTYPES.items() for dtype in dtypes]


@pytest.mark.parametrize(("suffix", "dtype"), CASES)
def test_what_is_written_is_read(tmp_path: Path, section: np.ndarray, suffix: str, dtype: str) -> None:
    path = tmp_path / f"a.b{suffix}"
    write_section(path, section.astype(dtype))
    pixels = read_section(path)
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, section)
    assert read_header(path).size == (20, 30, 1)


@pytest.mark.parametrize("suffix", [".tif", ".nii.gz", ".nrrd"])
def test_pages_of_a_stack(tmp_path: Path, section: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"stack{suffix}"
    write_section(path, np.stack([section, 2 * section, 3 * section], axis=-1))
    assert read_header(path).size == (20, 30, 3)
    np.testing.assert_array_equal(read_section(path, 2), 3 * section)
    with pytest.raises(ValueError, match=r"stack.*stack of 3 sections"):
        read_section(path)
    with pytest.raises(ValueError, match="has no page 3"):
        read_section(path, 3)


def test_axes_agree_with_other_libraries(tmp_path: Path, section: np.ndarray) -> None:
    for suffix in DTYPES:
        write_section(tmp_path / f"a{suffix}", section)
    rows_first = section.T
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), rows_first)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), rows_first)
    np.testing.assert_array_equal(itk.array_from_image(itk.imread(str(tmp_path / "a.nrrd"))), rows_first)
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "a.nii").dataobj), section)


@pytest.mark.parametrize(
    "options",
    [{"compression": "lzw"}, {"imagej": True, "metadata": {"axes": "ZYX"}}, {"bigtiff": True}, {"tile": (16, 16)}],
)
def test_tiff_of_other_programs(tmp_path: Path, section: np.ndarray, options: dict) -> None:
    stack = np.stack([section.T, 2 * section.T])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack", **options)
    np.testing.assert_array_equal(read_section(tmp_path / "stack.tif", 1), 2 * section)


def append_pages(path: Path, pages: list[np.ndarray], **options: object) -> None:
    for page in pages:
        tifffile.imwrite(path, page, append=True, photometric="minisblack", metadata=None, **options)


def test_tiff_whose_pages_were_appended_one_by_one(tmp_path: Path, section: np.ndarray) -> None:
    append_pages(tmp_path / "a.tif", [section.T, 2 * section.T, 3 * section.T])
    tifffile.imwrite(tmp_path / "a.tif", 4 * section.T, append=True, photometric="minisblack", compression="zlib")
    assert read_header(tmp_path / "a.tif").pages == 4
    for page in range(4):
        np.testing.assert_array_equal(read_section(tmp_path / "a.tif", page), (page + 1) * section)
    append_pages(tmp_path / "b.tif", [section.T, section.T[1:]])
    with pytest.raises(ValueError, match=r"b.tif: cannot be read: its 2 pages differ in size"):
        read_header(tmp_path / "b.tif")


def test_tiff_whose_values_are_no_grey_levels(tmp_path: Path, section: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "inverted.tif", section.T.astype("float32"), photometric="miniswhite")
    with pytest.raises(ValueError, match=r"inverted.tif: .*grey levels are inverted"):
        read_section(tmp_path / "inverted.tif")
    table = np.repeat(np.arange(256, dtype="uint16")[None, ::-1] * 257, 3, axis=0)
    table[1, 7] = 0
    tifffile.imwrite(tmp_path / "table.tif", section.T, photometric="palette", colormap=table)
    with pytest.raises(ValueError, match=r"table.tif: .*indices of a colour table"):
        read_section(tmp_path / "table.tif")
    channels = np.zeros((2, 3, 30, 20), "uint8")
    tifffile.imwrite(tmp_path / "a.ome.tif", channels, metadata={"axes": "CZYX"}, photometric="minisblack")
    with pytest.raises(ValueError, match=r"a.ome.tif: has 2 channels.*--channel"):
        read_section(tmp_path / "a.ome.tif", 0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png_with_colours_or_transparency(tmp_path: Path, section: np.ndarray, dtype: str, channels: int) -> None:
    pixels = np.repeat(section.T[..., None], channels, axis=-1).astype(dtype)
    imagecodecs.imwrite(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_section(tmp_path / "a.png"), section)


def test_one_bit_png(tmp_path: Path) -> None:
    mask = np.zeros((30, 20), bool)
    mask[3:9, 4:7] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_section(tmp_path / "mask.png") > 0, mask.T)


@pytest.mark.parametrize(("width", "height"), [(700, 3), (3, 700), (256, 513)])
def test_lines_are_turned_in_strips_and_none_is_lost(tmp_path: Path, width: int, height: int) -> None:
    section = np.random.default_rng(0).integers(0, 2**16, (width, height), np.uint16)
    write_section(tmp_path / "a.tif", section)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), section.T)
    read = read_section(tmp_path / "a.tif")
    np.testing.assert_array_equal(read, section)
    assert read.flags.c_contiguous
    assert read.flags.writeable


def test_grey_in_colours_is_read_and_colour_is_refused(tmp_path: Path, section: np.ndarray) -> None:
    colours = np.repeat(section.T[..., None], 3, axis=-1)
    for suffix in (".png", ".tif"):
        Image.fromarray(colours).save(tmp_path / f"grey{suffix}")
        np.testing.assert_array_equal(read_section(tmp_path / f"grey{suffix}"), section)
    colours[0, 0, 1] ^= 1
    for suffix in (".png", ".tif"):
        Image.fromarray(colours).save(tmp_path / f"colour{suffix}")
        with pytest.raises(ValueError, match=r"colour.*is a colour image"):
            read_section(tmp_path / f"colour{suffix}")


@pytest.mark.parametrize(("suffix", "dtype"), CASES)
def test_truncated_file(tmp_path: Path, suffix: str, dtype: str) -> None:
    path = tmp_path / f"broken{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (200, 300))
    write_section(path, noise.astype(dtype))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"broken.*cannot be read"):
        read_section(path)


@pytest.mark.parametrize("suffix", DTYPES)
def test_file_that_is_no_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"text{suffix}"
    path.write_text("not an image")
    with pytest.raises(ValueError, match=r"text.*cannot be read"):
        read_header(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_grey_levels(tmp_path: Path, section: np.ndarray, value: float) -> None:
    pixels = section.astype("float32")
    pixels[2, 3] = value
    write_section(tmp_path / "bad.tif", pixels)
    with pytest.raises(ValueError, match=r"bad.tif: 1 pixels are NaN or infinite"):
        read_section(tmp_path / "bad.tif")


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.png: no such file"):
        read_section(tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"a.czi: not a supported image format"):
        split_suffix(tmp_path / "a.czi")
    assert split_suffix("x/y.z.NII.GZ") == ("y.z", ".nii.gz")


def test_geometry_is_kept(tmp_path: Path, section: np.ndarray) -> None:
    affine = np.array([[0, -4.6, 0, 7], [4.6, 0, 0, -3], [0, 0, 50, 11], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(section, affine), tmp_path / "a.nii.gz")
    write_section(tmp_path / "b.nii.gz", section, like=tmp_path / "a.nii.gz")
    np.testing.assert_allclose(nib.load(tmp_path / "b.nii.gz").affine, affine)

    image = itk.image_from_array(section.T)
    image.SetSpacing([4.6, 4.6])
    image.SetOrigin([10, 20])
    itk.imwrite(image, str(tmp_path / "a.nrrd"))
    write_section(tmp_path / "b.nrrd", section, like=tmp_path / "a.nrrd")
    written = itk.imread(str(tmp_path / "b.nrrd"))
    np.testing.assert_allclose([*written.GetSpacing(), *written.GetOrigin()], [4.6, 4.6, 10, 20])

    tifffile.imwrite(tmp_path / "a.tif", section.T, resolution=(2000, 2000), resolutionunit="CENTIMETER")
    write_section(tmp_path / "b.tif", section, like=tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.pages[0].tags["XResolution"].value == (2000, 1)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_the_pixel_size_goes_into_every_format(tmp_path: Path, section: np.ndarray, suffix: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", section.T, resolution=(2.5e6, 2e6), resolutionunit="CENTIMETER")
    write_section(tmp_path / f"b{suffix}", section, like=tmp_path / "a.tif")
    assert read_header(tmp_path / f"b{suffix}").pixel_size_nm == pytest.approx((4, 5), rel=1e-4)


def test_volume_of_one_page_stays_a_volume(tmp_path: Path, section: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(section[..., None], np.eye(4)), tmp_path / "a.nii.gz")
    write_section(tmp_path / "b.nii.gz", read_section(tmp_path / "a.nii.gz"), like=tmp_path / "a.nii.gz")
    assert nib.load(tmp_path / "b.nii.gz").shape == (20, 30, 1)
    volume = itk.image_from_array(np.ascontiguousarray(section.T[None]))
    volume.SetSpacing([4.6, 4.6, 50])
    itk.imwrite(volume, str(tmp_path / "a.nrrd"))
    write_section(tmp_path / "b.nrrd", read_section(tmp_path / "a.nrrd"), like=tmp_path / "a.nrrd")
    assert list(itk.imread(str(tmp_path / "b.nrrd")).GetSpacing()) == [4.6, 4.6, 50]


def test_a_file_that_changed_is_read_again(tmp_path: Path, section: np.ndarray) -> None:
    path = tmp_path / "a.nrrd"
    write_section(path, section)
    assert read_section(path).max() == section.max()
    write_section(path, np.zeros_like(section))
    assert read_section(path).max() == 0


def test_a_failed_writing_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")

    def fail(target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"result.txt: cannot be written: .*No space left"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nibabel leaves the file to Python
@pytest.mark.parametrize("suffix", DTYPES)
def test_a_full_disk(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300)).astype("uint8")
    write_section(tmp_path / "warm-up" / f"a{suffix}", noise)  # whatever is imported late writes files of its own
    with files_no_longer_than(4096), pytest.raises(OSError, match=f"a{suffix}: cannot be written"):
        write_section(tmp_path / "full" / f"a{suffix}", noise)
    assert not os.listdir(tmp_path / "full")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("length", [100, 5000, 2**20])
def test_metadata_that_other_programs_put_into_a_png(tmp_path: Path, section: np.ndarray, length: int) -> None:
    """Before ours and behind them, and longer than what is read at once."""
    like = Section(Header("a.png", 20, 30), pixel_size_nm=(4, 5))
    write_section(tmp_path / "a.png", section, like=like, result=True)
    content = (tmp_path / "a.png").read_bytes()
    end, text = content.index(b"IDAT") - 4, chunk(b"tEXt", b"Comment\0" + b"x" * length)
    document = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * length)
    (tmp_path / "a.png").write_bytes(content[:33] + document + text + content[33:end] + text + content[end:])
    header = read_header(tmp_path / "a.png")
    assert (header.pixel_size_nm, header.result) == ((4, 5), True)
    np.testing.assert_array_equal(read_section(tmp_path / "a.png"), section)


def test_a_png_that_ends_within_its_metadata(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "a.png", section)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:33] + chunk(b"iTXt", bytes(5000))[:3000])
    assert (read_header(tmp_path / "a.png").width, read_header(tmp_path / "a.png").height) == (20, 30)
    with pytest.raises(ValueError, match=r"a\.png: cannot be read"):
        read_section(tmp_path / "a.png")
