"""The folder of sections and labels, on what stands for MONAI Label's own."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.io import read_section, write_section


class LocalDatastore:
    """MONAI Label's, as far as `SectionStore` builds on it."""

    def __init__(self, path: Path) -> None:
        self._datastore_path = str(path)
        self._datastore = SimpleNamespace(
            objects={}, image_path=lambda: str(path), label_path=lambda tag: str(path / "labels" / tag)
        )
        (path / "labels" / "final").mkdir(parents=True)
        for file in self._list_files(str(path), ()):
            self._datastore.objects[self._to_id(file)[0]] = str(path / file)

    def get_image_uri(self, image_id: str) -> str:
        return self._datastore.objects.get(image_id, "")

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        suffix = self._to_id(Path(label_filename).name)[1]
        shutil.copy(label_filename, Path(self._datastore.label_path(label_tag)) / f"{image_id}{suffix}")
        return image_id


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two sections, a damaged one and a result."""
    names = ("monailabel", "monailabel.datastore", "monailabel.datastore.local", "monailabel.interfaces")
    for name in (*names, "monailabel.interfaces.exception"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["monailabel.datastore.local"].LocalDatastore = LocalDatastore
    sys.modules["monailabel.interfaces.exception"].ImageNotFoundException = LookupError
    monkeypatch.delitem(sys.modules, "bundle.label.datastore", raising=False)
    from bundle.label.datastore import SectionStore

    folder = tmp_path / "sections"
    for name in ("a.png", "a_1.png"):
        write_section(folder / name, np.arange(320, dtype=np.uint8).reshape(20, 16))
    (folder / "damaged.png").write_bytes(b"nothing")
    write_section(folder / "a_mitochondria.png", mask(0), result=True)
    yield SectionStore(folder)
    sys.modules.pop("bundle.label.datastore", None)  # built on what stands for MONAI Label's


def mask(start: int) -> np.ndarray:
    pixels = np.zeros((20, 16), np.uint8)
    pixels[start : start + 8] = 255
    return pixels


def labels(store: Any) -> list[str]:
    return sorted(file.name for file in (Path(store._datastore_path) / "labels" / "final").iterdir())


def test_results_are_no_sections(store: Any) -> None:
    assert sorted(store._datastore.objects) == ["a", "a_1", "damaged"]


def test_a_label_of_the_bundle_is_a_label(store: Any, tmp_path: Path) -> None:
    write_section(tmp_path / "m.png", mask(0), result=True)
    store.save_label("a", str(tmp_path / "m.png"), "final", {})
    assert [*store._list_files(f"{store._datastore_path}/labels/final", ())] == ["a.png"]


def test_a_later_label_leaves_no_earlier_one(store: Any, tmp_path: Path) -> None:
    for number, suffix in enumerate((".png", ".PNG", ".tif", ".png")):
        write_section(tmp_path / f"m{suffix.lower()}", mask(number))
        if suffix != suffix.lower():
            (tmp_path / "m.png").rename(tmp_path / f"m{suffix}")
        store.save_label("a_1", str(tmp_path / f"m{suffix}"), "final", {})
        store.save_label("a", str(tmp_path / f"m{suffix}"), "final", {})
        assert labels(store) == [f"a{suffix}", f"a_1{suffix}"]
    label = Path(store._datastore_path) / "labels" / "final" / "a.png"
    np.testing.assert_array_equal(read_section(label), mask(3))


def test_labels_that_lose_pixels_are_refused_before_anything_is_removed(store: Any, tmp_path: Path) -> None:
    write_section(tmp_path / "m.png", mask(0))
    store.save_label("a", str(tmp_path / "m.png"), "final", {})
    Image.fromarray(mask(0).T).save(tmp_path / "m.jpg", quality=100)
    with pytest.raises(ValueError, match=r"the label of a must be a file of \.tif, .*\.nrrd, but got \.jpg"):
        store.save_label("a", str(tmp_path / "m.jpg"), "final", {})
    assert labels(store) == ["a.png"]
