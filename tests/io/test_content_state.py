"""What changes when pixels do."""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np

from scripts.io import content_state, read_section, write_section
from scripts.io.volume import Volume


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
