"""One file of each kind: what is read is what the plain PNG of the same pixels holds."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import itk
import nibabel as nib
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from scripts.io import FORMATS, find_sections, read_header, read_section, write_section
from scripts.io.volume import Volume
from scripts.transforms import LoadSectiond, SaveSectiond

ROOT = Path(__file__).parents[2]
PIXELS = np.add.outer(3 * np.arange(30), 4 * np.arange(20)).astype(np.uint8)
"""(height, width), smooth, since JPEG is to keep it."""
STACK = np.stack([PIXELS, PIXELS[::-1], PIXELS[:, ::-1]])

DM_TYPES = {"int32": 3, "uint16": 4, "float32": 6, "uint8": 10}


def dm(version: int, pixels: np.ndarray, nanometres: tuple[float, ...]) -> bytes:
    """A file of Gatan's DigitalMicrograph: groups of tags, big-endian, with little-endian values."""
    number = ">i" if version == 3 else ">q"

    def value(content: Any) -> bytes:
        array = np.frombuffer(content.encode("utf-16-le"), "<u2") if isinstance(content, str) else content
        if isinstance(array, np.ndarray):
            info, raw = [20, DM_TYPES[array.dtype.name], array.size], array.tobytes()
        else:
            single = np.float32(array) if isinstance(array, float) else np.int32(array)
            info, raw = [DM_TYPES[single.dtype.name]], single.tobytes()
        return b"%%%%" + b"".join(struct.pack(number, n) for n in (len(info), *info)) + raw

    def group(content: Any) -> bytes:
        tags = list(content.items()) if isinstance(content, dict) else [("", entry) for entry in content]
        encoded = b"\1\0" + struct.pack(number, len(tags))
        for name, entry in tags:
            nested = isinstance(entry, dict | list)
            body = group(entry) if nested else value(entry)
            length = struct.pack(">q", len(body)) if version == 4 else b""
            encoded += struct.pack(">BH", 20 if nested else 21, len(name)) + name.encode() + length + body
        return encoded

    axes = [{"Origin": 0.0, "Scale": float(scale), "Units": "nm"} for scale in nanometres]
    data = {
        "Calibrations": {"Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""}, "Dimension": axes},
        "Data": pixels.reshape(-1),
        "DataType": {"uint8": 6, "uint16": 10, "float32": 2}[pixels.dtype.name],
        "Dimensions": list(pixels.shape[::-1]),
        "PixelDepth": pixels.itemsize,
    }
    image = {"ImageData": data, "ImageTags": {"Acquisition": {"Device": {"Name": "x"}}}, "Name": "section"}
    root = group({"ImageList": [image], "InImageMode": 1})
    return struct.pack(">i" + number[1] + "i", version, len(root), 1) + root + bytes(8)


def ser(stack: np.ndarray, metres: tuple[float, float]) -> bytes:
    """A series of FEI's TIA."""
    count, height, width = stack.shape
    dimension = struct.pack("<iddiii", count, 0.0, 1.0, 0, 6, 0)[:-8] + struct.pack("<i6si", 6, b"Number", 0)
    start = 30 + len(dimension) + 8 * count
    element = 50 + height * width + 8
    head = struct.pack("<hhhiiiiii", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, count, count, 30 + len(dimension), 1)
    offsets = [start + i * element for i in range(count)]
    encoded = head + dimension + struct.pack(f"<{count}i", *offsets)
    encoded += struct.pack(f"<{count}i", *(offset + element - 8 for offset in offsets))
    for page in stack[:, ::-1]:  # from the bottom to the top
        calibration = struct.pack("<ddiddi", 0.0, metres[0], 0, 0.0, metres[1], 0)
        encoded += (
            calibration + struct.pack("<hii", 1, width, height) + page.tobytes() + struct.pack("<hhi", 0x4152, 0, 0)
        )
    return encoded


def mrc(mode: int, pixels: np.ndarray, imod: int | None = None, order: str = "<") -> bytes:
    depth = pixels.shape[0] if pixels.ndim == 3 else 1
    header = bytearray(1024)
    struct.pack_into(f"{order}4i", header, 0, pixels.shape[-1], pixels.shape[-2], depth, mode)
    struct.pack_into(f"{order}3i", header, 28, pixels.shape[-1], pixels.shape[-2], depth)
    struct.pack_into(f"{order}6f", header, 40, 1000, 1500, 500, 90, 90, 90)
    struct.pack_into(f"{order}3i", header, 64, 1, 2, 3)
    if imod is not None:
        struct.pack_into(f"{order}2i", header, 152, 1146047817, imod)
    header[208:216] = b"MAP \x44\x44\0\0" if order == "<" else b"MAP \x11\x11\0\0"
    return bytes(header) + pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()


def write_emd(path: Path, stack: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        data = file.create_group("data").create_group("section")
        data.attrs["emd_group_type"] = 1
        data.create_dataset("data", data=stack)
        for number, (name, length) in enumerate(zip("zyx", stack.shape, strict=True), 1):
            axis = data.create_dataset(f"dim{number}", data=5.0 * np.arange(length))
            axis.attrs["name"], axis.attrs["units"] = name, "[n_m]"


def nifti_of_4_axes(path: Path, stack: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(stack.T[..., None], np.eye(4)), path)


def nhdr(path: Path, stack: np.ndarray) -> None:
    (path.parent / "a.raw").write_bytes(stack.tobytes())
    fields = "type: uint8\ndimension: 3\nsizes: 20 30 3\nencoding: raw\ndata file: a.raw\n"
    path.write_text("NRRD0004\n" + fields)


def image_file(**options: Any) -> Callable:
    return lambda path, stack: Image.fromarray(stack[0]).save(path, **options)


def bytes_file(encode: Callable[[np.ndarray], bytes]) -> Callable:
    return lambda path, stack: path.write_bytes(encode(stack))


def volume(version: str) -> Callable:
    def write(path: Path, stack: np.ndarray) -> None:
        made = Volume.create(path, stack.shape, stack.dtype, (50, 5, 5), version, chunk=16)
        for page in (2, 0, 1):
            made.write(page, stack[page])
        made.complete()

    return write


def chunked_volume(path: Path, stack: np.ndarray) -> None:
    """As others write it: with axes for time and channel, micrometres, and chunks that hold two sections."""
    group = zarr.create_group(path, zarr_format=2)
    array = group.create_array("s0", shape=(1, 1, *stack.shape), chunks=(1, 1, 2, 16, 16), dtype=stack.dtype)
    array[0, 0] = stack
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = {"type": "scale", "scale": [1, 1, 0.05, 0.005, 0.005]}
    datasets = [{"path": "s0", "coordinateTransformations": [scale]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]


KINDS: dict[str, tuple[str, Callable, int]] = {
    "png": (".png", image_file(), 1),
    "jpeg": (".jpg", image_file(quality=100), 1),
    "progressive jpeg": (".JPEG", image_file(quality=100, progressive=True), 1),
    "tiff": (".tif", lambda path, stack: tifffile.imwrite(path, stack, photometric="minisblack"), 3),
    "nifti": (".nii", lambda path, stack: nib.save(nib.Nifti1Image(stack.T, np.eye(4)), path), 3),
    "nifti of 4 axes": (
        ".nii.gz",
        lambda path, stack: nib.save(nib.Nifti1Image(stack.T[..., None], np.eye(4)), path),
        3,
    ),
    "nrrd": (".nrrd", lambda path, stack: itk.imwrite(itk.image_from_array(stack), str(path), compression=True), 3),
    "detached nrrd": (".nhdr", nhdr, 3),
    "mrc of 16 bit": (".mrc", bytes_file(lambda stack: mrc(6, stack.astype(np.uint16))), 3),
    "mrc of reals": (".rec", bytes_file(lambda stack: mrc(2, stack.astype(np.float32))), 3),
    "mrc of signed bytes": (".st", bytes_file(lambda stack: mrc(0, (stack // 2).astype(np.int8))), 3),
    "mrc of an early imod": (".mrc", bytes_file(lambda stack: mrc(0, stack, imod=0)), 3),
    "dm3": (".dm3", bytes_file(lambda stack: dm(3, stack[0], (5, 5))), 1),
    "dm3 of 16 bit": (".dm3", bytes_file(lambda stack: dm(3, stack[0].astype(np.uint16), (5, 5))), 1),
    "dm4": (".dm4", bytes_file(lambda stack: dm(4, stack, (5, 5, 50))), 3),
    "ser": (".ser", bytes_file(lambda stack: ser(stack, (5e-9, 5e-9))), 3),
    "emd": (".emd", write_emd, 3),
    "ome-zarr 0.5": (".zarr", volume("0.5"), 3),
    "ome-zarr 0.4": (".ome.zarr", volume("0.4"), 3),
    "ome-zarr in chunks of several sections": (".zarr", chunked_volume, 3),
}
PICTURES = (".png", ".jpg", ".JPEG", ".tif", ".nii", ".nii.gz", ".nrrd", ".nhdr")
STATING = [kind for kind in KINDS if KINDS[kind][0] not in PICTURES]
"""Kinds that state the pixel size of `KINDS`, 5 nm."""


def test_each_format_is_tried() -> None:
    tried = {suffix.lower() for suffix, _, _ in KINDS.values()}
    assert set(FORMATS) - tried == {".tiff", ".emi"}  # another name of TIFF; what no program in reach writes


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_the_plain_file(tmp_path: Path, kind: str) -> None:
    suffix, write, pages = KINDS[kind]
    write(tmp_path / f"a{suffix}", STACK)
    sections = find_sections(tmp_path)
    assert [(s.page, s.pages, s.width, s.height) for s in sections] == [(i, pages, 20, 30) for i in range(pages)]
    for section, page in zip(sections, STACK, strict=False):
        found = read_section(section).T.astype(float)
        expected = page // 2 if kind == "mrc of signed bytes" else page
        np.testing.assert_allclose(found, expected, atol=2 if "jpeg" in kind else 0)
        assert np.dtype(section.dtype) == read_section(section).dtype.newbyteorder("=")


@pytest.mark.parametrize("kind", STATING)
def test_the_pixel_size_is_read(tmp_path: Path, kind: str) -> None:
    suffix, write, _ = KINDS[kind]
    write(tmp_path / f"a{suffix}", STACK)
    np.testing.assert_allclose(read_header(tmp_path / f"a{suffix}").pixel_size_nm, (5, 5), rtol=1e-5)


@pytest.mark.parametrize("kind", ["mrc of 16 bit", "dm4", "jpeg", "detached nrrd", "ome-zarr 0.5"])
def test_results_come_in_a_format_that_is_written(tmp_path: Path, kind: str) -> None:
    suffix, write, pages = KINDS[kind]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / f"a{suffix}", STACK)
    save = SaveSectiond("image", tmp_path / "out", "mask")
    for section in find_sections(tmp_path / "in"):
        save(LoadSectiond("image")(section))
    result = tmp_path / "out" / ("a_mask.nrrd" if "nrrd" in kind else "a_mask.tif")
    for page in range(pages):
        np.testing.assert_allclose(read_section(result, page).T.astype(float), STACK[page], atol=2)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", [b"", b"not an image at all, but some text", b"\xff\xd8\xff\xe0\0\x10JFIF"])
def test_files_that_hold_something_else(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a{suffix}: cannot be read: \S"):
        find_sections(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_were_cut(tmp_path: Path, kind: str) -> None:
    suffix, write, pages = KINDS[kind]
    write(tmp_path / f"a{suffix}", STACK)
    data = tmp_path / ("a.raw" if suffix == ".nhdr" else f"a{suffix}")
    if data.is_dir():
        data = max(data.rglob("*"), key=lambda file: (file.stat().st_size * file.is_file(), file))
    data.write_bytes(data.read_bytes()[: -max(40, data.stat().st_size // 3)])
    with pytest.raises(ValueError, match=rf"a{suffix}: cannot be read: \S"):
        read_section(tmp_path / f"a{suffix}", pages - 1)


def test_a_big_endian_mrc_file(tmp_path: Path) -> None:
    (tmp_path / "a.mrc").write_bytes(mrc(1, STACK.astype(np.int16), order=">"))
    with pytest.raises(ValueError, match=r"a\.mrc: cannot be read: is big-endian"):
        find_sections(tmp_path)


def test_a_name_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.jpeg_encode(PIXELS))
    with pytest.raises(ValueError, match=r"a\.png: cannot be read: .*JPEG"):
        find_sections(tmp_path)


def test_an_animation(tmp_path: Path) -> None:
    Image.fromarray(STACK[0]).save(tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(STACK[1])])
    with pytest.raises(ValueError, match=r"a\.png: cannot be read: .*several pictures"):
        find_sections(tmp_path)


@pytest.mark.slow
def test_formats_of_microscopes_are_imported_when_they_are_met(tmp_path: Path) -> None:
    write_section(tmp_path / "a.png", PIXELS.T)
    code = "import sys, scripts.io; scripts.io.find_sections(sys.argv[1]); print({'rsciio', 'dask'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
