"""Sets that share sections, by whatever path, where tissue has to be unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from bundle.data.combine import combine
from bundle.data.overlap import find_overlap
from bundle.studies import active_learning, evaluate, finetune
from bundle.studies.leave_one_out import leave_one_out

MakeSet = Callable[..., str]


@pytest.fixture
def make_set(tiny_phantom: Path, tmp_path: Path) -> MakeSet:
    """Make a set of sections of the phantom, by their names and regions, in a folder of its own."""

    def make(name: str, **parts: list[tuple[str, list[int]]]) -> str:
        folder = tmp_path / name
        folder.mkdir()
        for kind in ("images", "labels"):
            (folder / kind).symlink_to(tiny_phantom / kind)  # another path to the same files
        content = {
            part: [{"image": f"images/{n}.png", "label": f"labels/{n}.png", "region": region} for n, region in items]
            for part, items in parts.items()
        }
        (folder / "datalist.json").write_text(json.dumps({"name": name, "pixel_size_nm": 5, **content}))
        return str(folder)

    return make


LEFT, RIGHT, MIDDLE = [0, 0, 48, 96], [48, 0, 96, 96], [40, 0, 60, 96]


def test_pixels_and_not_names_are_what_is_shared() -> None:
    def item(image: str, region: list[int], page: int = 0) -> dict:
        return {"image": image, "page": page, "region": region}

    left = item("a/b/../0.tif", LEFT)
    assert find_overlap([left], [item("a/0.tif", RIGHT), item("a/0.tif", LEFT, 1), item("a/1.tif", LEFT)]) is None
    middle = item("a/0.tif", MIDDLE)
    assert find_overlap([item("a/1.tif", LEFT), left], [item("a/0.tif", RIGHT), middle]) == (left, middle)


def test_combine_refuses_to_validate_on_what_another_list_trains_on(make_set: MakeSet, tmp_path: Path) -> None:
    one = make_set("one", training=[("training_000", LEFT)], validation=[("training_000", LEFT)])  # by itself it may
    two = make_set("two", training=[("training_001", LEFT)], validation=[("training_000", MIDDLE)])
    three = make_set("three", training=[("training_001", RIGHT)], validation=[("training_000", RIGHT)])
    lists = {name: f"{folder}/datalist.json" for name, folder in (("one", one), ("two", two), ("three", three))}
    combine(lists["one"], lists["three"], output=str(tmp_path / "joint"))
    with pytest.raises(ValueError, match=r"training_000.png: region \[40, .* for validation, .* for training"):
        combine(lists["one"], lists["two"], output=str(tmp_path / "other"))
    combine(lists["one"], lists["two"], output=str(tmp_path / "refit"), refit=True)


def test_leave_one_out_refuses_sets_of_one_volume_before_any_training(make_set: MakeSet, tmp_path: Path) -> None:
    sets = [
        make_set("one", training=[("training_000", LEFT)]),
        make_set("two", training=[("training_001", LEFT)], validation=[("training_000", MIDDLE)]),
        make_set("three", training=[("test_000", LEFT)]),
    ]
    arguments = {"output": str(tmp_path / "o"), "runs": str(tmp_path / "r"), "steps": 5, "scales": ()}
    with pytest.raises(ValueError, match=r"training_000.png: .* for training by two, .* for test by one"):
        leave_one_out(*sets, left_out="three,one", **arguments)
    assert not any((tmp_path / "r").rglob("*.json"))


def test_studies_of_one_set_refuse_a_test_part_that_is_trained_on(make_set: MakeSet, tmp_path: Path) -> None:
    validation = [("validation_000", LEFT)]
    folder = make_set("one", training=[("training_000", LEFT)], validation=validation, test=[("training_000", MIDDLE)])
    for study in (finetune.finetune, active_learning.active_learning):
        with pytest.raises(ValueError, match=r"region \[0, 0, 48, 96\] would be for training, .* for test"):
            study(folder, "none.pt", str(tmp_path / "o"), runs=str(tmp_path / "r"), labelled=(1,))


def test_evaluation_warns_of_what_is_for_training_too(
    make_set: MakeSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(evaluate, "_evaluated", Mock(side_effect=RuntimeError("scored")))
    apart = make_set("apart", training=[("training_000", LEFT)], test=[("training_000", RIGHT)])
    shared = make_set("shared", test=[("training_000", MIDDLE)])  # without a training part of its own
    for sets, warned in (([apart], []), ([shared], []), ([apart, shared], [shared])):
        caplog.clear()
        with pytest.raises(RuntimeError, match="scored"):
            evaluate.evaluate_sets(*sets, checkpoint="none.pt", network="fusion_fcn")
        messages = [record.getMessage() for record in caplog.records if "for training too" in record.getMessage()]
        assert [message.split("/datalist")[0] for message in messages] == warned
