from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import tifffile

from scripts.io import find_sections, read_header, read_section

PIXELS = np.random.default_rng(0).integers(0, 200, (30, 20), np.uint8)
OTHER = 255 - PIXELS
GREYS = np.repeat((np.arange(256, dtype="uint16") * 257)[None], 3, axis=0)

SAME = {
    "bigtiff": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "tiled": {"tile": (16, 16)},
    "lzw": {"compression": "lzw"},
    "deflate": {"compression": "zlib"},
    "packbits": {"compression": "packbits"},
    "zstd": {"compression": "zstd"},
    "tiled lzw": {"compression": "lzw", "tile": (16, 16), "predictor": True},
    "imagej": {"imagej": True},
    "ome": {"ome": True},
    "grey palette": {"photometric": "palette", "colormap": GREYS},
    "grey palette times 256": {"photometric": "palette", "colormap": GREYS // 257 * 256},
    "grey palette of bytes": {"photometric": "palette", "colormap": GREYS // 257},
}


def write(path: Path, pixels: np.ndarray, **options: Any) -> None:
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **options})


def planes(path: Path, channel: int | None = None) -> list[np.ndarray]:
    """All sections of a file, as pictures (height, width)."""
    return [read_section(section).T for section in find_sections(path, channel)]


def assert_planes(path: Path, *expected: np.ndarray, channel: int | None = None) -> None:
    found = planes(path, channel)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", SAME)
def test_ways_to_store_the_same_pixels(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a.tif", PIXELS, **SAME[kind])
    assert_planes(tmp_path / "a.tif", PIXELS)


def test_jpeg_in_tiff(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(64, dtype=np.uint8), np.arange(64, dtype=np.uint8))
    write(tmp_path / "a.tif", smooth, compression="jpeg", compressionargs={"level": 100}, tile=(32, 32))
    assert np.abs(planes(tmp_path / "a.tif")[0].astype(int) - smooth).max() <= 2


@pytest.mark.parametrize("dtype", ["int8", "int16", ">u2", "uint32", "int32", "int64", "float16", "float32", ">f8"])
def test_pixel_types(tmp_path: Path, dtype: str) -> None:
    pixels = PIXELS.astype(dtype) if dtype != "int8" else PIXELS.view(np.int8)
    write(tmp_path / "a.tif", pixels)
    assert_planes(tmp_path / "a.tif", pixels)


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "uint32", "int16", "bool"])
def test_inverted_grey_levels_are_turned(tmp_path: Path, dtype: str) -> None:
    pixels = PIXELS > 99 if dtype == "bool" else PIXELS.astype(dtype)
    stored = ~pixels  # the greatest number less the value, for signed numbers too
    write(tmp_path / "a.tif", stored, photometric="miniswhite")
    found = planes(tmp_path / "a.tif")[0]
    # a file of one bit is inverted by the writer
    np.testing.assert_array_equal(found, ~pixels if dtype == "bool" and found[0, 0] != pixels[0, 0] else pixels)


@pytest.mark.parametrize("kinds", [("minisblack", "miniswhite"), ("miniswhite", "miniswhite", "minisblack")])
def test_each_page_is_inverted_by_its_own_tag(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for kind in kinds:
            tiff.write(PIXELS if kind == "minisblack" else OTHER, photometric=kind, metadata=None)
    assert_planes(tmp_path / "a.tif", *[PIXELS] * len(kinds))


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1)])
def test_pixels_are_a_copy_of_the_file(tmp_path: Path, shape: tuple[int, int]) -> None:
    stack = np.random.default_rng(0).integers(1, 255, (3, *shape), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for page in stack:
            tiff.write(page, photometric="minisblack", metadata=None)
    pixels = read_section(tmp_path / "a.tif", 1)
    pixels[:] = 0
    assert_planes(tmp_path / "a.tif", *stack)


def test_a_turned_palette(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", OTHER, photometric="palette", colormap=GREYS[:, ::-1])
    assert_planes(tmp_path / "a.tif", PIXELS)


@pytest.mark.parametrize("shape", [(2, 3), (3, 1, 2), (2, 1, 3, 1)])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"metadata": None}])
def test_all_pages_of_axes_without_names(tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    pages = [np.roll(PIXELS, i, axis=0) for i in range(6)]
    write(tmp_path / "a.tif", np.stack(pages).reshape(*shape, *PIXELS.shape), **options)
    assert_planes(tmp_path / "a.tif", *pages)


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}])
def test_time_and_depth_are_all_sections(tmp_path: Path, options: dict[str, Any]) -> None:
    pages = [np.roll(PIXELS, i, axis=0) for i in range(6)]
    stack = np.stack(pages).reshape(2, 3, *PIXELS.shape)
    write(tmp_path / "a.tif", stack, metadata={"axes": "TZYX"}, **options)
    assert_planes(tmp_path / "a.tif", *pages)


CHANNELS = {
    "imagej": ({"imagej": True, "metadata": {"axes": "ZCYX"}}, 1),
    "ome": ({"ome": True, "metadata": {"axes": "ZCYX"}}, 1),
    "ome, channels outside": ({"ome": True, "metadata": {"axes": "CZYX"}}, 0),
}


@pytest.mark.parametrize("kind", CHANNELS)
def test_a_channel_is_chosen(tmp_path: Path, kind: str) -> None:
    options, axis = CHANNELS[kind]
    first = [np.roll(PIXELS, i, axis=0) for i in range(3)]
    second = [255 - page for page in first]
    write(tmp_path / "a.tif", np.stack([np.stack(first), np.stack(second)], axis=axis), **options)
    assert_planes(tmp_path / "a.tif", *first, channel=0)
    assert_planes(tmp_path / "a.tif", *second, channel=1)
    with pytest.raises(ValueError, match=r"a\.tif: has 2 channels.*--channel"):
        find_sections(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif: channel must be from 0 to 1, but got 2"):
        find_sections(tmp_path / "a.tif", 2)


@pytest.mark.parametrize("planarconfig", ["separate", "contig"])
def test_samples_that_are_no_opacity_are_channels(tmp_path: Path, planarconfig: str) -> None:
    pixels = np.stack([PIXELS, OTHER], axis=0 if planarconfig == "separate" else -1)
    write(tmp_path / "a.tif", pixels, planarconfig=planarconfig, extrasamples=("unspecified",))
    assert_planes(tmp_path / "a.tif", OTHER, channel=1)
    with pytest.raises(ValueError, match=r"a\.tif: has 2 channels.*--channel"):
        find_sections(tmp_path / "a.tif")
    write(tmp_path / "b.tif", pixels, planarconfig=planarconfig, extrasamples=("unassalpha",))
    assert_planes(tmp_path / "b.tif", PIXELS)


def test_one_colour_can_be_chosen(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", np.stack([PIXELS, OTHER, PIXELS], axis=-1), photometric="rgb")
    with pytest.raises(ValueError, match=r"a\.tif: is a colour image.*--channel"):
        planes(tmp_path / "a.tif")
    assert_planes(tmp_path / "a.tif", OTHER, channel=1)


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", PIXELS)
    assert_planes(tmp_path / "a.tif", PIXELS, channel=0)
    with pytest.raises(ValueError, match=r"a\.tif: channel must be 0, but got 1"):
        planes(tmp_path / "a.tif", 1)
    for channel in (-1, True, 1.0, "1"):
        with pytest.raises(ValueError, match="channel must be a whole number"):
            find_sections(tmp_path / "a.tif", channel)


def described(files: dict[str, str], entries: list[str], channels: int, depth: int, own: str) -> str:
    data = "".join(entries)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="{files[own]}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="20" '
        f'SizeY="30" SizeZ="{depth}" SizeC="{channels}" SizeT="1">'
        + "".join(f'<Channel ID="Channel:0:{c}" SamplesPerPixel="1"/>' for c in range(channels))
        + f"{data}</Pixels></Image></OME>"
    )


@pytest.mark.parametrize("missing", [False, True])
def test_an_ome_set_in_several_files(tmp_path: Path, missing: bool) -> None:
    files = {f"z{i}.ome.tif": uuid4().urn for i in range(3)}
    entries = [
        f'<TiffData IFD="0" FirstZ="{i}" PlaneCount="1"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
        for i, (name, uuid) in enumerate(files.items())
    ]
    pages = [np.roll(PIXELS, i, axis=0) for i in range(3)]
    for name, page in zip(files, pages, strict=True):
        write(tmp_path / name, page, description=described(files, entries, 1, 3, name), metadata=None)
    if missing:
        (tmp_path / "z2.ome.tif").unlink()
    assert_planes(tmp_path, *pages[: 2 if missing else 3])
    assert_planes(tmp_path / "z1.ome.tif", pages[1])


def test_an_ome_set_of_a_channel_a_file(tmp_path: Path) -> None:
    files = {f"c{i}.ome.tif": uuid4().urn for i in range(2)}
    entries = [
        f'<TiffData IFD="0" FirstC="{i}" PlaneCount="2"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
        for i, (name, uuid) in enumerate(files.items())
    ]
    stacks = [np.stack([PIXELS, PIXELS[::-1]]), np.stack([OTHER, OTHER[::-1]])]
    for name, stack in zip(files, stacks, strict=True):
        write(tmp_path / name, stack, description=described(files, entries, 2, 2, name), metadata=None)
    with pytest.raises(ValueError, match=r"c0\.ome\.tif: has 2 channels.*--channel"):
        find_sections(tmp_path)
    for channel, stack in enumerate(stacks):
        assert_planes(tmp_path, *stack, channel=channel)


def test_a_stack_behind_one_page(tmp_path: Path) -> None:
    pages = [np.roll(PIXELS, i, axis=0) for i in range(6)]
    stack = np.stack(pages)
    write(tmp_path / "a.tif", stack, truncate=True)
    assert_planes(tmp_path / "a.tif", *pages)
    write(tmp_path / "b.tif", 255 - stack, truncate=True, photometric="miniswhite")
    assert_planes(tmp_path / "b.tif", *pages)
    write(tmp_path / "c.tif", stack.reshape(3, 2, *PIXELS.shape), truncate=True, metadata={"axes": "ZCYX"})
    assert_planes(tmp_path / "c.tif", *pages[1::2], channel=1)


def test_an_ome_file_described_elsewhere(tmp_path: Path) -> None:
    description = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:07504f95-83f4-4f2a-8f9b-5f9d2f9e2a11"/></OME>'
    )
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tiff:
        for page in (PIXELS, OTHER):
            tiff.write(page, photometric="minisblack", description=description, metadata=None)
    assert_planes(tmp_path / "a.ome.tif", PIXELS, OTHER)


def test_pages_that_a_description_forgets(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", np.stack([PIXELS, OTHER]))
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, append=True, photometric="minisblack", metadata=None)
    assert_planes(tmp_path / "a.tif", PIXELS, OTHER, PIXELS)


def test_a_pyramid_is_read_at_its_full_size(tmp_path: Path) -> None:
    stack = np.stack([PIXELS, OTHER])
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tiff:
        tiff.write(stack, subifds=1, photometric="minisblack", metadata={"axes": "ZYX"})
        tiff.write(stack[:, ::2, ::2], subfiletype=1, photometric="minisblack")
    assert_planes(tmp_path / "a.ome.tif", PIXELS, OTHER)


@pytest.mark.parametrize("size", [1, 2])
def test_thumbnails_among_the_pages(tmp_path: Path, size: int) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(PIXELS, photometric="minisblack", metadata=None)
        tiff.write(PIXELS[::size, ::size], subfiletype=1, photometric="minisblack", metadata=None)
    with pytest.raises(ValueError, match=r"a\.tif: .*page 1 is a thumbnail"):
        find_sections(tmp_path / "a.tif")


def test_a_mask_of_opacity_among_the_pages(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(PIXELS, photometric="minisblack", metadata=None)
        tiff.write(PIXELS > 99, subfiletype=4, photometric="mask", metadata=None)
    with pytest.raises(ValueError, match=r"a\.tif: .*page 1 is a mask"):
        find_sections(tmp_path / "a.tif")


@pytest.mark.parametrize("order", [b"II*\0", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"])
@pytest.mark.parametrize("rest", [b"", b"\0\0", b"\0\0\0\0\0\0\0\0"])
def test_a_header_and_nothing_else(tmp_path: Path, order: bytes, rest: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(order + rest)
    with pytest.raises(ValueError, match=r"a\.tif: cannot be read: .*damaged"):
        find_sections(tmp_path / "a.tif")


REFUSED = {
    "cmyk": (np.stack([PIXELS] * 4, axis=-1), {"photometric": "separated"}, "SEPARATED.*grey levels"),
    "lab": (np.stack([PIXELS] * 3, axis=-1), {"photometric": "cielab"}, "CIELAB.*grey levels"),
    "complex": (PIXELS.astype("complex64"), {}, "complex numbers"),
    "volumetric": (np.stack([PIXELS] * 4), {"volumetric": True}, "page by page"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(tmp_path: Path, kind: str) -> None:
    pixels, options, remedy = REFUSED[kind]
    write(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(ValueError, match=rf"a\.tif: .*{remedy}"):
        planes(tmp_path / "a.tif")


def test_an_imagej_stack_without_a_named_axis(tmp_path: Path) -> None:
    """Libraries write the third axis of an array as channels if nobody says what it is."""
    pages = np.random.default_rng(0).integers(0, 255, (12, 20, 30), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", pages, imagej=True)
    header = read_header(tmp_path / "stack.tif")
    assert (header.pages, header.channels) == (12, 1)
    np.testing.assert_array_equal(read_section(tmp_path / "stack.tif", 7), pages[7].T)
    tifffile.imwrite(tmp_path / "channels.tif", pages[:3], imagej=True)
    assert read_header(tmp_path / "channels.tif").channels == 3
