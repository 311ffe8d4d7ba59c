from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from disk import files_no_longer_than

from scripts.instances import Linker
from scripts.io import (
    find_sections,
    read_section,
    require_writable,
    unfinished_sections,
    write_atomically,
    write_section,
)
from scripts.objects import Gathering, MaskStack
from scripts.transforms import LoadSectiond, SaveSectiond

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nibabel leaves open files
SUFFIXES = (".png", ".tif", ".nii", ".nii.gz", ".nrrd")
RESULTS = {"mask": "uint8"}


def visible(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


@pytest.mark.parametrize("length", [0, 40, 4096])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_damaged_result_is_left(tmp_path: Path, suffix: str, length: int) -> None:
    side = 200 if length > 100 else 8
    pixels = np.random.default_rng(0).integers(0, 255, (side, side), np.uint8)
    path = tmp_path / "full" / f"a{suffix}"
    write_section(tmp_path / f"warm-up{suffix}", pixels)  # whatever is imported late writes files of its own
    with files_no_longer_than(length), pytest.raises(OSError, match=rf"a{suffix}: cannot be written: \S"):
        write_section(path, pixels)
    assert os.listdir(tmp_path / "full") == []
    write_section(path, pixels)
    np.testing.assert_array_equal(read_section(path), pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("side", [8, 300])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_run_on_a_full_disk_can_be_repeated(tmp_path: Path, suffix: str, side: int, share: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (side, side), np.uint8)
    write_section(tmp_path / "in" / f"a{suffix}", pixels)
    write_section(tmp_path / f"b_mask{suffix}", pixels, result=True)
    needed = (tmp_path / f"b_mask{suffix}").stat().st_size
    sections, output = find_sections(tmp_path / "in"), tmp_path / "out"
    item, save = LoadSectiond("image")(sections[0]), SaveSectiond("image", output, "mask")
    with files_no_longer_than(int(share * needed)), pytest.raises(OSError, match=rf"a_mask{suffix}: cannot be written"):
        save(item)
    assert visible(output) == []
    assert unfinished_sections(sections, output, RESULTS, overwrite=False) == sections
    save(item)
    np.testing.assert_array_equal(read_section(output / f"a_mask{suffix}"), pixels)


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_stack_on_a_full_disk_can_be_repeated(tmp_path: Path, share: float) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    write_section(tmp_path / "in" / "a.tif", stack)
    sections, output = find_sections(tmp_path / "in"), tmp_path / "out"
    items, save = [LoadSectiond("image")(s) for s in sections], SaveSectiond("image", output, "mask")
    save(items[0])
    save(items[1])
    # no page is as long as half of the stack
    limit = int(share * (tmp_path / "in" / "a.tif").stat().st_size)
    with files_no_longer_than(limit), pytest.raises(OSError, match=r"cannot be written: \S"):
        save(items[2])
    assert visible(output) == []
    left = unfinished_sections(sections, output, RESULTS, overwrite=False)
    assert [section.page for section in left] == [2]
    save = SaveSectiond("image", output, "mask")
    for section in left:
        save(LoadSectiond("image")(section))
    assert os.listdir(output) == ["a_mask.tif"]
    for page in range(3):
        np.testing.assert_array_equal(read_section(output / "a_mask.tif", page), stack[..., page])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("free", [0, 4096, 32768])
def test_a_disk_that_is_full_indeed(small_disk: Callable, suffix: str, free: int) -> None:
    disk = small_disk(65536)
    (disk / "others").write_bytes(bytes(65536 - free))
    pixels = np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)
    with pytest.raises(OSError, match=rf"a{suffix}: cannot be written: \S"):
        write_section(disk / f"a{suffix}", pixels)
    assert os.listdir(disk) == ["others"]
    (disk / "others").unlink()


def test_a_full_disk_is_noticed_before_the_work(tmp_path: Path) -> None:
    with files_no_longer_than(0), pytest.raises(OSError, match=r"out: the output folder cannot be written: \S"):
        require_writable(tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []
    require_writable(tmp_path / "out")


def test_what_the_objects_keep_for_a_while_is_named(tmp_path: Path) -> None:
    masks, work = tmp_path / "masks", tmp_path / "work"
    write_section(masks / "a.png", np.pad(np.full((40, 40), 255, np.uint8), 20))
    stack, spacing = MaskStack(masks), (1.0, 1.0)
    tifffile.imwrite(tmp_path / "warm-up.tif", np.zeros((9, 9), np.uint8), compression="zlib")
    with files_no_longer_than(16), pytest.raises(OSError, match=r"0\.tif: cannot be written: \S"):
        Gathering().run(stack, Linker(), work, spacing, 1, (slice(1, -1), slice(1, -1)))
    assert os.listdir(work) == []


def test_weights_on_a_full_disk(tmp_path: Path) -> None:
    """torch says of it that a position was not expected."""
    state = {"weight": torch.zeros(10_000)}
    torch.save(state, tmp_path / "warm-up.pt")
    with (
        files_no_longer_than(20_000),
        pytest.raises(OSError, match=r"a\.pt: cannot be written: .*disk may be full|a\.pt.*large"),
    ):
        write_atomically(tmp_path / "a.pt", lambda path: torch.save(state, path))
    assert not (tmp_path / "a.pt").exists()
