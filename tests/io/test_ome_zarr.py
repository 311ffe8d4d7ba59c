from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr_models import open_ome_zarr

from scripts.io import find_sections, read_header, read_section
from scripts.io.ome_zarr import OWN
from scripts.io.volume import Volume

STACK = np.random.default_rng(0).integers(0, 255, (3, 1500, 1101), np.uint8)


def written(path: Path, stack: np.ndarray = STACK, **options: object) -> Volume:
    volume = Volume.create(path, stack.shape, stack.dtype, (50, 5, 4), **options)
    for page, section in enumerate(stack):
        volume.write(page, section)
    volume.complete()
    return volume


def foreign(path: Path, names: str, shape: tuple[int, ...], unit: str | None = "nanometer") -> None:
    """A volume that others wrote."""
    group = zarr.create_group(path, zarr_format=3)
    array = group.create_array("s0", shape=shape, chunks=shape, dtype=np.uint8)
    array[:] = np.arange(np.prod(shape)).reshape(shape) % 251
    axes = [{"name": name, **({"unit": unit} if name in "zyx" and unit else {})} for name in names]
    scale = {"type": "scale", "scale": [{"z": 50, "y": 6, "x": 5}.get(name, 1) for name in names]}
    datasets = [{"path": "s0", "coordinateTransformations": [scale]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("average", [False, True])
def test_what_is_written_is_valid(tmp_path: Path, version: str, average: bool) -> None:
    volume = written(tmp_path / "a.zarr", version=version, average=average)
    image = open_ome_zarr(zarr.open_group(tmp_path / "a.zarr", mode="r"), version=version)
    assert type(image).__name__ == "Image"
    multiscales = (image.attributes if version == "0.4" else image.attributes.ome).multiscales[0]
    assert [axis.unit for axis in multiscales.axes] == ["nanometer"] * 3
    assert [level.shape for level in volume.levels] == [(3, 1500, 1101), (3, 750, 551)]
    assert multiscales.datasets[0].coordinateTransformations[0].scale == [50, 5, 4]
    assert multiscales.datasets[1].coordinateTransformations[0].scale == [50, 10, 8]
    labels = Volume.create_labels(tmp_path / "a.zarr", "mitochondria", STACK.shape, voxel_size_nm=(50, 5, 4))
    labels.complete()
    group = zarr.open_group(tmp_path / "a.zarr" / "labels" / "mitochondria", mode="r")
    assert type(open_ome_zarr(group, version=version)).__name__ == "ImageLabel"
    assert type(open_ome_zarr(zarr.open_group(tmp_path / "a.zarr" / "labels", mode="r"))).__name__ == "Labels"


def test_coarser_resolutions(tmp_path: Path) -> None:
    mean = written(tmp_path / "mean.zarr").levels[1][1]
    sides = STACK[1, :, :1100].astype(int)
    expected = sides[::2, ::2] + sides[1::2, ::2] + sides[::2, 1::2] + sides[1::2, 1::2]
    assert np.abs(mean[:, :550] - expected / 4).max() <= 0.5
    np.testing.assert_allclose(mean[:, 550], STACK[1, :, 1100].reshape(-1, 2).mean(axis=1), atol=0.5)
    labels = written(tmp_path / "labels.zarr", average=False).levels[1][1]
    np.testing.assert_array_equal(labels, STACK[1, ::2, ::2])


def test_a_section_is_one_file(tmp_path: Path) -> None:
    written(tmp_path / "a.zarr")
    assert len(list((tmp_path / "a.zarr" / "0" / "c").rglob("*/*/*"))) == 3


def test_a_volume_that_is_not_complete(tmp_path: Path) -> None:
    Volume.create(tmp_path / "a.zarr", (2, 20, 30), np.uint8)
    with pytest.raises(ValueError, match=r"a\.zarr: cannot be read: is not complete"):
        find_sections(tmp_path)


@pytest.mark.parametrize(
    ("names", "shape", "message"),
    [
        ("zy", (2, 3), "must have the axes y and x"),
        ("xyz", (2, 3, 4), "must have the axes y and x"),
        ("tyx", (2, 3, 4), "must be of one point in time"),
    ],
)
def test_axes_that_are_no_stack(tmp_path: Path, names: str, shape: tuple[int, ...], message: str) -> None:
    foreign(tmp_path / "a.zarr", names, shape)
    with pytest.raises(ValueError, match=rf"a\.zarr: cannot be read: {message}"):
        find_sections(tmp_path / "a.zarr")


def test_channels(tmp_path: Path) -> None:
    foreign(tmp_path / "a.zarr", "tczyx", (1, 2, 3, 4, 5))
    with pytest.raises(ValueError, match=r"a\.zarr: has 2 channels"):
        find_sections(tmp_path / "a.zarr")
    section = find_sections(tmp_path / "a.zarr", channel=1)[2]
    np.testing.assert_array_equal(read_section(section).T, np.arange(100, 120).reshape(4, 5))


@pytest.mark.parametrize(
    ("unit", "size"),
    [("nanometer", (5, 6)), ("angstrom", (0.5, 0.6)), (None, None), ("foot", None), ("micrometer", None)],
)
def test_units(tmp_path: Path, unit: str | None, size: tuple | None) -> None:
    foreign(tmp_path / "a.zarr", "zyx", (2, 3, 4), unit)
    header = read_header(tmp_path / "a.zarr")
    assert header.pixel_size_nm == (None if size is None else pytest.approx(size))
    # what is stated and not believed is said: a unit that is none of lengths, pixels of 5 micrometres
    assert (header.doubt is not None) == (unit in ("foot", "micrometer"))


def test_pixels_that_are_no_grey_levels(tmp_path: Path) -> None:
    foreign(tmp_path / "a.zarr", "zyx", (2, 3, 4))
    group = zarr.open_group(tmp_path / "a.zarr", mode="r+")
    del group["s0"]
    group.create_array("s0", shape=(2, 3, 4), dtype=np.complex64)[:] = 1j
    with pytest.raises(ValueError, match=r"a\.zarr: its pixels are complex numbers"):
        read_section(find_sections(tmp_path / "a.zarr")[0])


@pytest.mark.slow
@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("block", [(1024, 1024), (512, 768), (64, 2048)])
def test_blocks_have_files_of_their_own(tmp_path: Path, version: str, average: bool, block: tuple[int, int]) -> None:
    """Written in any order they are the section as a whole, and no file is written twice."""
    stack = np.random.default_rng(0).integers(0, 255, (1, 2100, 2500), np.uint8)
    whole = written(tmp_path / "whole.zarr", stack, version=version, average=average)
    parts = Volume.create(
        tmp_path / "parts.zarr", stack.shape, np.uint8, (50, 5, 4), version=version, average=average, block=block
    )
    assert [level.shape for level in parts.levels] == [level.shape for level in whole.levels]
    corners = [(row, column) for row in range(0, 2100, block[0]) for column in range(0, 2500, block[1])]
    before: dict[Path, int] = {}
    for row, column in reversed(corners):
        parts.write(0, stack[0, row : row + block[0], column : column + block[1]], (row, column))
        files = {file: file.stat().st_mtime_ns for file in parts.path.glob("[0-9]/**/*") if file.is_file()}
        assert len(files) > len(before)
        assert before.items() <= files.items()
        before = files
    for found, expected in zip(parts.levels, whole.levels, strict=True):
        np.testing.assert_array_equal(found[:], expected[:])
    parts.complete()
    assert read_header(tmp_path / "parts.zarr").size == (2500, 2100, 1)
    model = open_ome_zarr(zarr.open_group(tmp_path / "parts.zarr", mode="r"), version=version)
    assert type(model).__name__ == "Image"


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_pixels_that_the_type_cannot_hold(tmp_path: Path, dtype: str) -> None:
    volume = Volume.create(tmp_path / "a.zarr", (1, 3, 4), dtype)
    volume.write(0, np.full((3, 4), 100, np.int64 if dtype != "float32" else np.float64))
    for pixels in (np.full((3, 4), 1e39), np.full((3, 4), 70000 if dtype != "float32" else 1 << 40)):
        with pytest.raises(ValueError, match=rf"a\.zarr: .* be what {dtype} holds, but got {pixels.dtype}"):
            volume.write(0, pixels)
    assert (volume.levels[0][0] == 100).all()


def drawn(path: Path) -> zarr.Group:
    """A volume with labels that a person drew."""
    written(path, STACK[:, :40, :30])
    labels = zarr.open_group(path, mode="r+").create_group("labels", attributes={"ome": {"labels": ["mitochondria"]}})
    group = labels.create_group("mitochondria", attributes={"note": "corrected by hand"})
    group.create_array("0", shape=(3, 40, 30), chunks=(1, 40, 30), dtype=np.uint32)[:] = 42
    return group


def test_labels_of_a_person_are_replaced_only_when_asked(tmp_path: Path) -> None:
    group = drawn(tmp_path / "a.zarr")
    with pytest.raises(FileExistsError, match=r"labels/mitochondria: must be labels that this bundle wrote"):
        Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30))
    labels = Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30), overwrite=True)
    labels.write(0, np.full((40, 30), 7, np.uint32))
    assert (group["0"][:] == 42).all()  # until the new ones are complete
    labels.complete()
    assert np.unique(zarr.open_group(tmp_path / "a.zarr" / "labels" / "mitochondria")["0"][:]).tolist() == [0, 7]
    assert [file.name for file in (tmp_path / "a.zarr" / "labels").iterdir() if file.is_dir()] == ["mitochondria"]
    assert labels.path == tmp_path / "a.zarr" / "labels" / "mitochondria"
    Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30)).complete()  # its own


@pytest.mark.parametrize("swapping", [False, True])
def test_labels_that_were_interrupted_leave_the_earlier_ones(tmp_path: Path, swapping: bool) -> None:
    drawn(tmp_path / "a.zarr")
    folder = tmp_path / "a.zarr" / "labels"
    Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30), overwrite=True)
    if swapping:
        (folder / "mitochondria").rename(folder / ".mitochondria" / "replaced")
    with pytest.raises(FileExistsError, match="those of someone else"):
        Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30))
    assert (zarr.open_group(folder / "mitochondria")["0"][:] == 42).all()


def test_labels_that_a_person_corrected_are_those_of_a_person(tmp_path: Path) -> None:
    written(tmp_path / "a.zarr", STACK[:, :40, :30])
    Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30)).complete()
    labels = Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30))
    labels.complete()
    labels.levels[0][1] = 7
    with pytest.raises(FileExistsError, match="but they were changed, or copied, since"):
        Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30))
    Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30), overwrite=True).complete()


def test_labels_that_may_have_been_corrected_are_kept(tmp_path: Path) -> None:
    """Those of 0.10.0 do not tell whether they were."""
    written(tmp_path / "a.zarr", STACK[:, :40, :30])
    labels = Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30))
    labels.complete()
    own = labels.own()
    del own["pixels"]
    labels.group.attrs.update({OWN: own})
    with pytest.raises(FileExistsError, match=r"but got those of a version before 0\.10\.1"):
        Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30))
    Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (3, 40, 30), overwrite=True).complete()
