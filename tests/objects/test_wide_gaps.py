"""Gaps that are wider than what is bridged are ends of the stack."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from scripts.instances import Linker
from scripts.io import write_section
from scripts.objects import Gathering, MaskStack, ObjectAnalysis

SIZE = 0.005
THICKNESS = 0.05


def cylinders(*spans: tuple[int, int], count: int = 30) -> list[np.ndarray]:
    """Sections of cylinders of 24 pixels across, each through its own sections, the last one included."""
    x, y = np.mgrid[: 40 * len(spans), :40]
    disks = [np.hypot(x - 20 - 40 * place, y - 20) <= 12 for place in range(len(spans))]
    return [
        np.logical_or.reduce([disk & (a <= z <= b) for disk, (a, b) in zip(disks, spans, strict=True)])
        for z in range(count)
    ]


AREA = np.count_nonzero(cylinders((0, 1))[0]) * SIZE**2


def analysed(folder: Path, masks: list[np.ndarray], lost: list[int], max_gap: int = 1) -> tuple[list[dict], dict]:
    for index, mask in enumerate(masks):
        if index not in lost:
            write_section(folder / "masks" / f"s{index:02d}.png", (255 * mask).astype(np.uint8))
    stack = MaskStack(folder / "masks", missing_sections=lost)
    linker = Linker(max_gap=max_gap)
    ObjectAnalysis(stack, folder / "out", None, linker, pixel_size=5, section_thickness=50).run()
    with open(folder / "out" / "mitochondria.csv", newline="") as file:
        return list(csv.DictReader(file)), json.loads((folder / "out" / "summary.json").read_text())


def test_a_wide_gap_cuts_what_runs_into_it(tmp_path: Path) -> None:
    rows, found = analysed(tmp_path, cylinders((5, 24)), list(range(10, 20)))
    assert [row["cut_by_ends"] for row in rows] == ["1", "1"]
    assert [float(row["volume_um3"]) for row in rows] == pytest.approx([5 * AREA * THICKNESS] * 2, rel=1e-5)
    assert found["whole_objects"] == 0
    assert found["settings"]["begun_anew_at"] == [20]
    # nothing is known of the sections before either part; the first begins in section 5
    assert found["counted_objects"] == 1
    assert found["object_density_per_um3"] == pytest.approx(1 / (39 * 39 * SIZE**2 * 18 * THICKNESS))


def test_walls_end_without_a_cap_at_a_wide_gap(tmp_path: Path) -> None:
    rows, _ = analysed(tmp_path / "gap", cylinders((5, 24)), list(range(10, 20)))
    last, _ = analysed(tmp_path / "end", cylinders((5, 24))[:10], [])
    assert rows[0] == last[0]


@pytest.mark.parametrize(("lost", "max_gap"), [([12], 1), ([12, 13, 14], 3)])
def test_what_is_bridged_is_no_end(tmp_path: Path, lost: list[int], max_gap: int) -> None:
    (row,), found = analysed(tmp_path, cylinders((5, 24)), lost, max_gap)
    assert float(row["volume_um3"]) == pytest.approx(20 * AREA * THICKNESS, rel=1e-5)
    assert (row["cut_by_ends"], found["counted_objects"]) == ("0", 1)
    assert found["object_density_per_um3"] == pytest.approx(1 / (39 * 39 * SIZE**2 * 29 * THICKNESS))


def test_what_ends_before_a_wide_gap_and_begins_after_it_is_whole(tmp_path: Path) -> None:
    rows, found = analysed(tmp_path, cylinders((2, 6), (22, 26), (5, 9), (20, 25)), list(range(10, 20)))
    assert {row["first_section"]: row["cut_by_ends"] for row in rows} == {"2": "0", "22": "0", "5": "1", "20": "1"}
    assert (found["whole_objects"], found["counted_objects"]) == (2, 3)


@pytest.mark.parametrize("gap", [1, 2])
def test_neighbours_beyond_a_wide_gap_say_nothing(tmp_path: Path, gap: int) -> None:
    """A faint disk is filled up by the sections beside it, as long as nothing wider than `max_gap` lies between."""
    (disk,) = cylinders((0, 0), count=1)
    for index in (0, 1 + gap):
        score = np.where(disk, 0.45 if index else 0.9, 0.0).astype(np.float32)
        score[18:22, 18:22] += 0.1 * bool(index)
        write_section(tmp_path / f"s{index}_probability.tif", score)
    stack = MaskStack(tmp_path, missing_sections=list(range(1, 1 + gap)))
    gathering = Gathering(smoothing=0.3, min_agreement=0, min_area=1)
    spacing, frame = (1.0, 1.0), (slice(1, -1), slice(1, -1))
    (tmp_path / "work").mkdir()
    found = gathering.run(stack, Linker(), tmp_path / "work", spacing, 1, frame)
    assert found.pixels[-1] == (disk.sum() if gap == 1 else 16)
