from __future__ import annotations

import json
import logging
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

from bundle.data.fetch import write_list as write_to_folder
from scripts.io import (
    check_sections,
    find_sections,
    holdout_split,
    load_sections,
    require_writable,
    result_path,
    select_query,
    unfinished_sections,
    write_section,
)

MASK = {"mask": "uint8"}
ITEM = {"image": "image.png", "label": "label.png"}


def write_list(folder: Path, *items: dict) -> Path:
    path = folder / "datalist.json"
    path.write_text(json.dumps({"training": list(items), "test": []}))
    return path


def test_items_get_absolute_paths(labelled: Path) -> None:
    item = {**ITEM, "region": [0, 5, 20, 30]}
    loaded = load_sections(write_list(labelled, item), "training")
    expected = {"image": str(labelled / "image.png"), "label": str(labelled / "label.png"), "region": [0, 5, 20, 30]}
    expected |= {"page": 0, "pages": 1, "label_format": "mask", "weight": 1.0}
    assert [section.item() for section in loaded] == [expected]
    check_sections(loaded)


def test_sections_can_be_written_as_a_list(labelled: Path) -> None:
    loaded = load_sections(write_list(labelled, {**ITEM, "region": [0, 5, 20, 30], "pixel_size_nm": 4}), "training")
    again = write_to_folder({"training": loaded, "test": [{**loaded[0], "weight": 2}]}, labelled / "lists")
    assert [dict(section) for section in load_sections(again, "training")] == [dict(loaded[0])]
    assert dict(load_sections(again, "test")[0]) == {**loaded[0], "weight": 2.0}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"image": "image.png"}, r"training\[0\]: needs an 'image' and a 'label'"),
        ({**ITEM, "regoin": [0, 0, 1, 1]}, r"training\[0\]: has unknown keys \['regoin'\]"),
        ({**ITEM, "region": [0, 0, 21, 30]}, r"region \[0, 0, 21, 30\] is no .* 20x30 pixels"),
        ({**ITEM, "region": [0, 0, 20]}, "region .* is no"),
        ({**ITEM, "label": "small.png"}, r"image.png is 20x30 .*small.png is 20x29"),
        ({**ITEM, "image": "stack.tif", "label": "stack.tif"}, "has 2 pages, 'page' must be one"),
        ({**ITEM, "label_format": "classes"}, r"training\[0\]: label_format .* mask, instances, but got 'classes'"),
        *(
            (
                {**ITEM, key: name},
                rf"datalist.json: training\[0\]: {key} must be the path of a file, but got {re.escape(repr(name))}",
            )
            for key in ("image", "label", "known")
            for name in (None, ["image.png"])
        ),
        *(
            (
                {**ITEM, "weight": weight},
                rf"datalist.json: training\[0\]: weight .* positive number, but got {weight!r}",
            )
            for weight in (0, -1, math.nan, math.inf, True, None, "2")
        ),
    ],
)
def test_faulty_items(labelled: Path, section: np.ndarray, item: dict, message: str) -> None:
    write_section(labelled / "small.png", section[:, 1:])
    write_section(labelled / "stack.tif", np.stack([section, section], axis=-1))
    with pytest.raises(ValueError, match=message):
        load_sections(write_list(labelled, item), "training")


def test_faulty_lists(labelled: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such list of sections"):
        load_sections(labelled / "none.json", "training")
    with pytest.raises(ValueError, match="list 'test' is missing or empty"):
        load_sections(write_list(labelled, ITEM), "test")
    with pytest.raises(FileNotFoundError, match=r"gone.png: no such file"):
        load_sections(write_list(labelled, {**ITEM, "label": "gone.png"}), "training")
    for text, message in (("{", "is not JSON"), ("[]", "is no list of sections, but a JSON list")):
        (labelled / "datalist.json").write_text(text)
        with pytest.raises(ValueError, match=f"datalist.json: {message}"):
            load_sections(labelled / "datalist.json", "training")
        with pytest.raises(ValueError, match=f"datalist.json: {message}"):
            find_sections(labelled / "datalist.json")


def test_instances_are_declared_by_the_list_or_by_an_item(labelled: Path, section: np.ndarray) -> None:
    write_section(labelled / "label.png", section // 40)
    with pytest.raises(ValueError, match=r'label.png: .*declared in the list of sections by "label_format": "instan'):
        check_sections(load_sections(write_list(labelled, ITEM), "training"))
    with pytest.raises(ValueError, match=r'label.png: .*"label_format": "instances"'):
        holdout_split([{key: str(labelled / name) for key, name in ITEM.items()}], 0.5)
    path = labelled / "datalist.json"
    path.write_text(
        json.dumps({"label_format": "instances", "training": [ITEM, {**ITEM, "label_format": "mask", "weight": 2}]})
    )
    one, other = load_sections(path, "training")
    assert (one["label_format"], one["weight"]) == ("instances", 1)
    assert (other["label_format"], other["weight"]) == ("mask", 2)
    check_sections([one])
    training, validation = holdout_split([one], 0.5)
    assert training[0]["label_format"] == validation[0]["label_format"] == "instances"


def test_label_of_one_class_is_warned_of(labelled: Path, section: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    for name, value in (("full.png", 255), ("none.png", 0)):
        write_section(labelled / name, np.full_like(section, value))
    items = [{**ITEM, "label": "full.png"}, {**ITEM, "label": "none.png"}]
    with caplog.at_level(logging.WARNING):
        check_sections(load_sections(write_list(labelled, *items), "training"))
    assert "full.png: all labelled pixels are mitochondrion" in caplog.text
    assert "none.png: all labelled pixels are background" in caplog.text


def test_constant_image(labelled: Path, section: np.ndarray) -> None:
    write_section(labelled / "flat.png", np.full_like(section, 7))
    sections = load_sections(write_list(labelled, {**ITEM, "image": "flat.png"}), "training")
    with pytest.raises(ValueError, match=r"flat.png: is a constant image, all its pixels are 7"):
        check_sections(sections)


def test_damaged_section_is_found_before_the_training(labelled: Path) -> None:
    os.truncate(labelled / "image.png", (labelled / "image.png").stat().st_size - 20)
    sections = load_sections(write_list(labelled, ITEM), "training")
    with pytest.raises(ValueError, match=r"image.png: cannot be read"):
        check_sections(sections)


def test_every_way_to_name_sections(tmp_path: Path, section: np.ndarray) -> None:
    for name in ("s10.png", "s9.png", "t.tif", ".hidden.png", "x[1].png"):
        write_section(tmp_path / name, section)
    write_section(tmp_path / "stack.tif", np.stack([section] * 3, axis=-1))
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "list.json").write_text(json.dumps({"training": [{"image": "t.tif"}], "test": [{"image": "t.tif"}]}))

    def names(source: object) -> list[str]:
        return [os.path.basename(item["image"]) for item in find_sections(source)]

    assert names(str(tmp_path)) == ["s9.png", "s10.png", "stack.tif", "stack.tif", "stack.tif", "t.tif", "x[1].png"]
    assert names(tmp_path / "x[1].png") == ["x[1].png"]
    assert names(f"{tmp_path}/s*.png") == ["s9.png", "s10.png"]
    assert names(tmp_path / "t.tif") == ["t.tif"]
    assert names([tmp_path / "t.tif", tmp_path / "s9.png"]) == ["t.tif", "s9.png"]
    assert names(tmp_path / "list.json") == ["t.tif"]
    assert [item["page"] for item in find_sections(tmp_path / "stack.tif")] == [0, 1, 2]


def test_nothing_to_segment(tmp_path: Path) -> None:
    for source in (tmp_path, f"{tmp_path}/*.png"):
        with pytest.raises(FileNotFoundError, match="no sections found"):
            find_sections(source)
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        find_sections(tmp_path / "nowhere")


def test_finished_sections_are_left_out(tmp_path: Path, section: np.ndarray) -> None:
    output = tmp_path / "output"
    for name in ("a.png", "b.png"):
        write_section(tmp_path / name, section)
    sections = find_sections(tmp_path)
    assert unfinished_sections(sections, output, MASK, overwrite=False) == sections
    write_section(output / "a_mask.png", section)
    assert unfinished_sections(sections, output, MASK, overwrite=False) == sections[1:]
    assert unfinished_sections(sections, output, MASK, overwrite=True) == sections


def test_results_that_would_overwrite_each_other(tmp_path: Path, section: np.ndarray) -> None:
    for folder in ("x", "y"):
        write_section(tmp_path / folder / "a.png", section)
    sections = find_sections([tmp_path / "x/a.png", tmp_path / "y/a.png"])
    with pytest.raises(ValueError, match="would both be written to"):
        unfinished_sections(sections, tmp_path / "output", MASK, overwrite=False)


def test_a_result_that_is_missing_is_made(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "a.png", section)
    write_section(tmp_path / "output" / "a_mask.png", section)
    sections, both = find_sections(tmp_path), {**MASK, "score": "float32"}
    assert unfinished_sections(sections, tmp_path / "output", both, overwrite=False) == sections
    write_section(tmp_path / "output" / "a_score.tif", section)
    assert unfinished_sections(sections, tmp_path / "output", both, overwrite=False) == []


def test_scores_of_two_formats_that_would_overwrite_each_other(tmp_path: Path, section: np.ndarray) -> None:
    for name in ("a.png", "a.tif"):
        write_section(tmp_path / name, section)
    sections = find_sections(tmp_path)
    assert unfinished_sections(sections, tmp_path / "output", MASK, overwrite=False) == sections
    with pytest.raises(ValueError, match=r"would both be written to .*a_score.tif"):
        unfinished_sections(sections, tmp_path / "output", {"score": "float32"}, overwrite=False)


def test_names_of_results() -> None:
    assert result_path("x/a.b.nii.gz", "out", "mask") == Path("out/a.b_mask.nii.gz")
    assert result_path("x/a.PNG", "out", "score", "float32") == Path("out/a_score.tif")


def test_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/output: the output folder cannot be written: Not a directory"):
        require_writable(tmp_path / "new", tmp_path / "file" / "output")
    assert (tmp_path / "new").is_dir()
    assert not list((tmp_path / "new").iterdir())


def test_results_among_the_sections(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "a.png", section)
    with pytest.raises(ValueError, match="the output folder holds the section"):
        unfinished_sections(find_sections(tmp_path), tmp_path, MASK, overwrite=False)


def labelled_section(folder: Path, name: str, label: np.ndarray) -> dict:
    write_section(folder / f"{name}.png", np.arange(label.size).reshape(label.shape).astype(np.uint8))
    write_section(folder / f"{name}_label.png", label.astype(np.uint8))
    return {"image": str(folder / f"{name}.png"), "label": str(folder / f"{name}_label.png")}


def test_held_out_is_the_strip_that_is_like_the_section(tmp_path: Path) -> None:
    label = np.zeros((40, 50))
    label[30:] = 1  # a quarter: strips across it have as much
    training, validation = holdout_split([labelled_section(tmp_path, "a", label)], 0.2)
    assert [item["region"] for item in validation] == [[0, 0, 40, 10]]
    assert [item["region"] for item in training] == [[0, 10, 40, 50]]
    check_sections(training + validation)


def test_mitochondria_are_on_both_sides_where_that_is_possible(tmp_path: Path) -> None:
    label = np.zeros((100, 100))
    label[:30, 2:6] = 1  # empty strips are more like the section than those that have some
    training, validation = holdout_split([labelled_section(tmp_path, "corner", label)], 0.2)
    for items in (training, validation):
        left, top, right, bottom = items[0]["region"]
        assert label[left:right, top:bottom].any()


def test_what_was_held_out_stays_so(tmp_path: Path) -> None:
    section = labelled_section(tmp_path, "a", np.eye(40))
    regions = [[0, 0, 8, 40], [32, 0, 40, 40], [0, 0, 40, 8], [0, 32, 40, 40]]
    for region in regions:
        assert holdout_split([section], 0.2, {"a.png": region})[1][0]["region"] == region
    assert holdout_split([section], 0.25, {"a.png": regions[1]})[1] == holdout_split([section], 0.25)[1]


def test_what_cannot_be_held_out(tmp_path: Path) -> None:
    assert holdout_split([], 0.2) == ([], [])
    empty = labelled_section(tmp_path, "empty", np.zeros((40, 50)))
    with pytest.raises(ValueError, match=r"empty_label\.png: there are no mitochondria in the 20% held out"):
        holdout_split([empty], 0.2)
    full = labelled_section(tmp_path, "full", np.ones((40, 50)))
    assert len(holdout_split([empty, full], 0.2)[1]) == 2
    write_section(tmp_path / "small.png", np.ones((4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"small\.png: has 4x5 pixels, its section .*empty\.png 40x50"):
        holdout_split([{**empty, "label": str(tmp_path / "small.png")}], 0.2)
    write_section(tmp_path / "stack.tif", np.ones((40, 50, 2), np.uint8))
    with pytest.raises(ValueError, match=r"stack\.tif: is a stack of 2 sections where one section is expected"):
        holdout_split([{**empty, "image": str(tmp_path / "stack.tif")}], 0.2)


def test_the_next_section_is_uncertain_and_far_from_labels() -> None:
    names = [f"s{i}" for i in range(12)]  # s10 comes after s9
    flat = dict.fromkeys(names, 1.0)
    assert select_query({**flat, "s4": 1.1}, []) == "s4"
    rest = {name: 1.0 for name in names if name not in ("s0", "s11")}
    assert select_query(rest, ["s0", "s11"]) == "s5"
    assert select_query({**rest, "s1": 6.0}, ["s0", "s11"]) == "s1"
    assert select_query({**rest, "s1": 4.0}, ["s0", "s11"]) == "s5"
    assert select_query({"s3": 0.0}, ["s2"]) == "s3"
