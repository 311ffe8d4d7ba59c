from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from monai.data import CacheDataset, DataLoader, Dataset

from scripts.io import (
    Section,
    check_pixel_sizes,
    check_sections,
    find_sections,
    read_section,
    unfinished_sections,
    write_section,
)
from scripts.transforms import LoadSectiond, SaveSectiond

RESULTS = {"mask": "uint8"}

_counted: list[Counter] = []
"""What the audit hook, which cannot be taken away again, counts in; empty between tests."""


def _count(event: str, arguments: tuple) -> None:
    if event == "open" and _counted and isinstance(arguments[0], str | bytes | os.PathLike):
        _counted[0][os.fsdecode(arguments[0])] += 1


sys.addaudithook(_count)


@pytest.fixture
def opened() -> Iterator[Counter]:
    _counted.append(Counter())
    yield _counted[0]
    _counted.clear()


def segment(source: Path, output: Path) -> None:
    """What the configs do with sections, but for the network."""
    sections = find_sections(source, results=False)
    pending = unfinished_sections(sections, output, RESULTS, overwrite=False)
    check_pixel_sizes(sections, None, 10)
    check_sections(pending, leave_out_constant=True)
    save = SaveSectiond("image", output, "mask")
    for item in DataLoader(Dataset(pending, LoadSectiond("image")), batch_size=1):
        save({"image": item["image"][0]})


@pytest.mark.parametrize(("suffix", "most"), [(".png", 2), (".tif", 2), (".jpg", 2)])
def test_how_often_pictures_are_opened(
    tmp_path: Path, section: np.ndarray, opened: Counter, suffix: str, most: int
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        imagecodecs.imwrite(tmp_path / "in" / f"{name}{suffix}", np.ascontiguousarray(section.T))
    opened.clear()
    segment(tmp_path / "in", tmp_path / "out")
    for name in ("a", "b", "c"):
        assert 1 <= opened[str(tmp_path / "in" / f"{name}{suffix}")] <= most


def test_how_often_a_stack_is_opened(tmp_path: Path, opened: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.io.reading.HANDED_ON", 0)  # as where sections are large
    stack = np.random.default_rng(0).integers(0, 255, (60, 70, 5), np.uint8)
    for name in ("a", "b"):
        write_section(tmp_path / "in" / f"{name}.tif", stack)
    opened.clear()
    segment(tmp_path / "in", tmp_path / "out")
    for name in ("a", "b"):
        assert 1 <= opened[str(tmp_path / "in" / f"{name}.tif")] <= 3
        for page in range(5):
            np.testing.assert_array_equal(read_section(tmp_path / "out" / f"{name}_mask.tif", page), stack[..., page])


def test_what_was_checked_is_loaded_as_the_file_has_it(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "a.png", section)
    sections = find_sections(tmp_path)
    check_sections(sections)
    write_section(tmp_path / "a.png", 255 - section)  # after the check
    loaded = LoadSectiond("image")(sections[0])["image"]
    np.testing.assert_array_equal(loaded[0], 255 - section)


def test_a_section_is_a_typed_value_and_an_item(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "stack.tif", np.stack([section, 2 * section], axis=-1))
    second = find_sections(tmp_path)[1]
    assert isinstance(second, Section)
    assert (second.path, second.page, second.pages) == (str(tmp_path / "stack.tif"), 1, 2)
    assert (second.width, second.height, second.dtype) == (*section.shape, "uint8")
    assert dict(second) == {"image": str(tmp_path / "stack.tif"), "page": 1, "pages": 2}
    with pytest.raises(AttributeError):
        second.page = 0
    with pytest.raises(KeyError):
        second["label"]
    np.testing.assert_array_equal(read_section(second), 2 * section)


def test_files_are_read_by_many_threads(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (40, 50, 8), np.uint8)
    for number in range(3):
        write_section(tmp_path / f"{number}.tif", stack + np.uint8(number))
    sections = [section for section in find_sections(tmp_path) for _ in range(5)]
    data = CacheDataset(sections, LoadSectiond("image"), progress=False, num_workers=4)
    for section, item in zip(sections, data, strict=True):
        number = np.uint8(int(Path(section.path).stem))
        np.testing.assert_array_equal(item["image"][0], stack[..., section.page] + number)


def test_a_section_and_a_plain_item_are_loaded_alike(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "a.png", section)
    load = LoadSectiond("image")
    items = [find_sections(tmp_path)[0], {"image": str(tmp_path / "a.png")}, {"image": tmp_path / "a.png"}]
    for data in (CacheDataset(items, load, progress=False), Dataset(items, load)):
        for item in data:
            np.testing.assert_array_equal(item["image"][0], section)
            assert item["image"].meta["filename_or_obj"] == str(tmp_path / "a.png")
