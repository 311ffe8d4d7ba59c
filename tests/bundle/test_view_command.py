from __future__ import annotations

import io
import shutil
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.volumes.view import show, view
from scripts.io.volume import Volume

neuroglancer = pytest.importorskip("neuroglancer")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")]


@pytest.fixture
def volumes(tmp_path: Path) -> tuple[str, str]:
    """Dark sections, and a result with one mitochondrion in the left half."""
    sections = Volume.create(tmp_path / "s.zarr", (3, 200, 300), np.uint8, (50, 5, 5))
    masks = Volume.create(tmp_path / "r.zarr", (3, 200, 300), np.uint8, (50, 5, 5), result=True)
    labels = Volume.create_labels(tmp_path / "r.zarr", "mitochondria", (3, 200, 300), voxel_size_nm=(50, 5, 5))
    for page in range(3):
        numbers = np.zeros((200, 300), np.uint32)
        numbers[:, :150] = 7
        sections.write(page, np.full((200, 300), 30, np.uint8))
        masks.write(page, np.where(numbers > 0, 255, 0).astype(np.uint8))
        labels.write(page, numbers)
    for volume in (sections, masks, labels):
        volume.complete()
    return str(tmp_path / "s.zarr"), str(tmp_path / "r.zarr")


def test_layers_and_files(volumes: tuple[str, str]) -> None:
    viewer = show(*volumes)
    layers = {layer.name: layer.layer for layer in viewer.state.layers}
    assert type(layers["s.zarr"]).__name__ == "ImageLayer"
    assert type(layers["r.zarr"]).__name__ == "SegmentationLayer"
    source = layers["r.zarr"].source[0].url.removeprefix("zarr://")
    with urllib.request.urlopen(f"{source}zarr.json") as answer:
        assert b"image-label" in answer.read()
    request = urllib.request.Request(f"{source}0/c/1/0/0", headers={"Range": "bytes=0-3"})
    with urllib.request.urlopen(request) as answer:
        assert (answer.status, len(answer.read())) == (206, 4)
    with urllib.request.urlopen(viewer.get_viewer_url()) as answer:
        assert b"neuroglancer" in answer.read().lower()


def test_volumes_of_one_name_are_layers_of_their_own(tmp_path: Path) -> None:
    paths = [
        tmp_path / folder / name
        for folder, name in (("a", "s.zarr"), ("b", "s.zarr"), ("c/b", "s.zarr"), ("a", "r.zarr"))
    ]
    for number, path in enumerate(paths):
        volume = Volume.create(path, (1, 20, 30), np.uint8, (50, 5, 5))
        volume.write(0, np.full((20, 30), number, np.uint8))
        volume.complete()
    layers = show(*map(str, paths)).state.layers
    assert [layer.name for layer in layers] == ["a/s.zarr", "b/s.zarr", "b/s.zarr 2", "r.zarr"]
    assert len({layer.layer.source[0].url for layer in layers}) == 4


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_shows_the_mitochondrion(volumes: tuple[str, str], tmp_path: Path) -> None:
    view(*volumes, screenshot=str(tmp_path / "picture.png"))
    picture = np.asarray(Image.open(io.BytesIO((tmp_path / "picture.png").read_bytes())).convert("RGB")).astype(int)
    left, right = picture[300:330, 100:350].mean(axis=(0, 1)), picture[300:330, 650:900].mean(axis=(0, 1))
    assert np.ptp(right) < 6  # grey
    assert np.ptp(left) > 20  # coloured


def test_what_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name at least one volume"):
        show()
    with pytest.raises(ValueError, match="must be an OME-Zarr volume"):
        show(str(tmp_path))
