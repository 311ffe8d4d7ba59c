from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest

from scripts.io import check_pixel_sizes, find_sections, load_sections, parse_pixel_size, pixel_size_of

ITEM = {"image": "image.png", "label": "label.png"}


def write_list(folder: Path, *items: dict, **entries: object) -> Path:
    path = folder / "datalist.json"
    path.write_text(json.dumps({"training": list(items), **entries}))
    return path


def test_a_number_means_square_pixels() -> None:
    assert parse_pixel_size(5, "list") == [5.0, 5.0]
    assert parse_pixel_size([4, 6.5], "list") == [4.0, 6.5]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-5, "of -5 nm is out of range"),
        (0, "of 0 nm is out of range"),
        (5e-9, "of 5e-09 nm is out of range"),  # in metres
        (math.nan, "of nan nm is out of range"),
        (math.inf, "of inf nm is out of range"),
        ([5, 50], r"of 5 x 50 nm are too oblong"),  # the distance of sections
        ([5, 5, 50], r"number of nanometres or \[x, y\], but got \[5, 5, 50\]"),
        ("5", r"number of nanometres or \[x, y\], but got '5'"),
        (True, r"number of nanometres or \[x, y\], but got True"),
    ],
)
def test_what_is_no_pixel_size(labelled: Path, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"here: .*{message}"):
        parse_pixel_size(value, "here")
    for entries, where in (({}, r"training\[0\]: pixel_size_nm"), ({"pixel_size_nm": value}, "pixel_size_nm")):
        item = ITEM if entries else {**ITEM, "pixel_size_nm": value}
        with pytest.raises(ValueError, match=f"datalist.json.*{where}"):
            load_sections(write_list(labelled, item, **entries), "training")
        with pytest.raises(ValueError, match=r"datalist\.json"):
            find_sections(write_list(labelled, item, **entries))


def test_an_item_comes_before_its_list_and_a_setting_before_both(labelled: Path) -> None:
    path = write_list(labelled, ITEM, {**ITEM, "pixel_size_nm": [8, 9]}, pixel_size_nm=5)
    first, second = load_sections(path, "training")
    assert (first["pixel_size_nm"], second["pixel_size_nm"]) == ([5, 5], [8, 9])
    assert pixel_size_of(second) == [8, 9]
    assert pixel_size_of(second, pixel_size=3) == [3, 3]
    assert pixel_size_of({}, default=10) == [10, 10]
    assert pixel_size_of({}) is None


def test_sections_to_segment_know_what_their_list_states(labelled: Path) -> None:
    assert find_sections(write_list(labelled, ITEM, pixel_size_nm=5))[0]["pixel_size_nm"] == [5, 5]
    assert "pixel_size_nm" not in find_sections(write_list(labelled, ITEM))[0]
    assert "pixel_size_nm" not in find_sections(labelled)[0]
    with pytest.raises(ValueError, match=r"two pixel sizes for image.png"):
        find_sections(write_list(labelled, ITEM, {**ITEM, "pixel_size_nm": 6}, pixel_size_nm=5))


def test_contradictions_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    known, other, unknown = {"image": "a", "pixel_size_nm": [5, 5]}, {"image": "b", "pixel_size_nm": 8}, {"image": "c"}
    with caplog.at_level(logging.WARNING):
        check_pixel_sizes([known, other], None, 10)
        check_pixel_sizes([known], 5.02, 10)
        check_pixel_sizes([unknown], 5, 10)
    assert not caplog.records
    with pytest.raises(ValueError, match="b: its list says that pixels are 8 nm, --pixel_size says 5 nm"):
        check_pixel_sizes([known, other], 5, 10)
    with pytest.raises(ValueError, match="a: its pixels are 5 nm in one place and 6 x 5 nm in another"):
        check_pixel_sizes([known, {**known, "page": 1, "pixel_size_nm": [6, 5]}], None, 10)
    with pytest.raises(ValueError, match="c: its pixel size is not known, that of other sections is"):
        check_pixel_sizes([known, unknown], None, 10)
    with pytest.raises(ValueError, match=r"pixel_size: .* -5 nm is out of range"):
        check_pixel_sizes([unknown], -5, 10)


def test_an_unknown_pixel_size_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_pixel_sizes([{"image": "a"}, {"image": "b"}], None, 10)
    assert "taken as they are, as if pixels were 10 nm" in caplog.text
