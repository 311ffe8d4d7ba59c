"""What changes when pixels do."""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np
import pytest
import zarr

from scripts.io import content_state, read_section, write_section
from scripts.io.volume import Volume
from scripts.volumes.source import section_states


def volume(path: Path) -> Volume:
    made = Volume.create(path, (2, 40, 30), np.uint8, (50, 5, 5), average=False)
    for page in range(2):
        made.write(page, np.ones((40, 30), np.uint8))
    made.complete()
    return made


def test_pixels_of_a_volume_that_change_in_place(tmp_path: Path) -> None:
    made = volume(tmp_path / "a.zarr")
    before = content_state(tmp_path / "a.zarr")
    assert content_state(tmp_path / "a.zarr") == before
    made.levels[0][1] = 7
    assert content_state(tmp_path / "a.zarr") != before


def test_what_lies_in_a_volume_besides_is_not_its_pixels(tmp_path: Path) -> None:
    volume(tmp_path / "a.zarr")
    before = content_state(tmp_path / "a.zarr")
    labels = Volume.create_labels(tmp_path / "a.zarr", "mitochondria", (2, 40, 30))
    labels.write(0, np.ones((40, 30), np.uint32))
    labels.complete()
    write_section(tmp_path / "a.zarr" / "objects" / "a.png", np.ones((9, 9), np.uint8))
    volume(tmp_path / "a.zarr" / "probability.zarr")
    assert content_state(tmp_path / "a.zarr") == before


def test_pixels_beside_their_header(tmp_path: Path) -> None:
    itk.imwrite(itk.image_from_array(np.ones((2, 40, 30), np.uint8)), str(tmp_path / "a.nhdr"))
    before = content_state(tmp_path / "a.nhdr")
    (data,) = (file for file in tmp_path.iterdir() if file.suffix != ".nhdr")
    header = (tmp_path / "a.nhdr").stat().st_mtime_ns
    data.write_bytes(bytes(2 * 40 * 30))
    assert (tmp_path / "a.nhdr").stat().st_mtime_ns == header
    assert content_state(tmp_path / "a.nhdr") != before
    write_section(tmp_path / "b.tif", np.ones((9, 9), np.uint8))
    assert len(content_state(tmp_path / "b.tif")) == 2
    assert read_section(tmp_path / "b.tif").shape == (9, 9)


@pytest.mark.parametrize(
    ("names", "shape", "chunks", "depth"), [("zyx", (5, 8, 6), (2, 8, 6), 2), ("czyx", (2, 5, 8, 6), (1, 1, 4, 6), 1)]
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_which_sections_a_chunk_is_of(
    tmp_path: Path, names: str, shape: tuple, chunks: tuple, depth: int, zarr_format: int
) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=zarr_format)
    array = group.create_array("s0", shape=shape, chunks=chunks, dtype=np.uint8)
    array[:] = 7
    axes = [{"name": name} for name in names]
    image = {"multiscales": [{"axes": axes, "datasets": [{"path": "s0"}]}]}
    group.attrs.update(image if zarr_format == 2 else {"ome": image})
    before = section_states(str(tmp_path / "a.zarr"))
    assert len(before) == 5
    array[..., 2, 1, 1] = 8
    after = section_states(str(tmp_path / "a.zarr"))
    assert [page for page in range(5) if before[page] != after[page]] == ([2, 3] if depth == 2 else [2])


@pytest.mark.parametrize("separator", ["/", "."])
def test_the_section_of_a_chunk_is_told_by_its_name(tmp_path: Path, separator: str) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    encoding = {"name": "default", "separator": separator}
    array = group.create_array("0", shape=(9, 32, 32), chunks=(1, 16, 16), dtype="uint8", chunk_key_encoding=encoding)
    array[:] = 7
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [50, 5, 5]}]
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    group.attrs.update({"ome": {"version": "0.5", "multiscales": multiscales}})
    before = section_states(tmp_path / "a.zarr")
    array[5] = 9
    changed = [page for page, state in enumerate(section_states(tmp_path / "a.zarr")) if state != before[page]]
    assert changed == [5]
