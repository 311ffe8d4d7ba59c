"""What was made by something else, or of another section, is not taken for the result that is wanted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.io import find_sections, unfinished_sections, write_section
from scripts.io.records import NAME
from scripts.transforms import LoadSectiond, SaveSectiond

RESULTS = {"mask": "uint8"}
MADE_BY = {"weights": "a", "settings": {"threshold": 0.5, "use_crf": True}}


def segment(folder: Path, made_by: dict | None = MADE_BY, overwrite: bool = False) -> int:
    """Write what is lacking, and tell how many sections that were."""
    left = unfinished_sections(find_sections(folder / "in"), folder / "out", RESULTS, overwrite, made_by)
    save = SaveSectiond("image", folder / "out", "mask", made_by=made_by, overwrite=overwrite)
    for section in left:
        save(LoadSectiond("image")(section))
    return len(left)


def fill(folder: Path, seed: int = 0, pages: int = 1) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (30, 40 + seed, pages), np.uint8)
    for name in ("a.tif", "b.tif"):
        write_section(folder / "in" / name, pixels)


@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize(
    ("made_by", "named"),
    [
        ({**MADE_BY, "weights": "b"}, "another weights;"),
        ({**MADE_BY, "settings": {"threshold": 0.6, "use_crf": False}}, "another threshold, use_crf;"),
        (MADE_BY, "another source;"),
    ],
)
def test_a_result_of_something_else_is_refused(tmp_path: Path, pages: int, made_by: dict, named: str) -> None:
    fill(tmp_path, pages=pages)
    assert segment(tmp_path) == 2 * pages
    assert segment(tmp_path) == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    if "source" in named:
        fill(tmp_path, 1, pages)
    (tmp_path / "out" / "b_mask.tif").rename(tmp_path / "b_mask.tif")  # one of both, as in a run that was stopped
    with pytest.raises(FileExistsError, match=rf"a_mask\.tif: must be of .*a\.tif as .*{named} .* --overwrite True"):
        segment(tmp_path, made_by)
    (tmp_path / "b_mask.tif").rename(tmp_path / "out" / "b_mask.tif")
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    assert segment(tmp_path, made_by, overwrite=True) == 2 * pages
    assert segment(tmp_path, made_by) == 0


@pytest.mark.parametrize("case", ["no record", "corrected", "cut off"])
def test_what_has_no_record_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str) -> None:
    fill(tmp_path)
    assert segment(tmp_path, None if case == "no record" else MADE_BY) == 2
    assert (tmp_path / "out" / NAME).exists() == (case != "no record")
    mask = tmp_path / "out" / "a_mask.tif"
    if case == "corrected":
        write_section(mask, np.full((30, 40), 255, np.uint8), result=True)
        write_section(tmp_path / "out" / "b_mask.tif", np.zeros((30, 40), np.uint8), result=True)
    elif case == "cut off":
        record = (tmp_path / "out" / NAME).read_text()
        (tmp_path / "out" / NAME).write_text(record[:50])
    before = mask.read_bytes()
    assert segment(tmp_path, {**MADE_BY, "weights": "b"}) == 0
    assert mask.read_bytes() == before
    assert "a_mask.tif and 1 more: there is no record" in caplog.text


def test_the_record_grows_by_a_line_for_each_result(tmp_path: Path) -> None:
    fill(tmp_path)
    segment(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "out" / NAME).read_text().splitlines()]
    assert [line["result"] for line in lines] == ["a_mask.tif", "b_mask.tif"]
    assert [line["made_of"]["made_by"] for line in lines] == [MADE_BY] * 2
