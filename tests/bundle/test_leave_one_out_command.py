from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from monai.data import CacheDataset

from bundle.data.phantom import phantom
from bundle.studies.leave_one_out import leave_one_out, markdown
from scripts.io import load_sections


@pytest.fixture(scope="module")
def sets(tiny_phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three sets; the last has a training part only."""
    folder = tmp_path_factory.mktemp("sets")
    shutil.copytree(tiny_phantom, folder / "one")
    for seed, name in ((5, "two"), (6, "small")):
        phantom(output=str(folder / name), seed=seed, size=96, sections=(1, 1, 1))
    datalist = json.loads((folder / "small" / "datalist.json").read_text())
    content = {key: value for key, value in datalist.items() if key not in ("validation", "test")}
    (folder / "small" / "datalist.json").write_text(json.dumps(content))
    return [str(folder / name) for name in ("one", "two", "small")]


def settings_of(tiny: dict) -> dict:
    return {key: value for key, value in tiny.items() if key != "batch_size"}


@pytest.fixture
def cached_sets() -> Iterator[Callable[[], int]]:
    """Count the sets that are in memory; nothing is collected but when it is asked for."""
    gc.collect()
    gc.disable()
    yield lambda: sum(type(kept) is CacheDataset for kept in gc.get_objects())
    gc.enable()


@pytest.mark.slow
def test_each_set_is_scored_by_a_training_without_it(
    sets: list, tmp_path: Path, tiny: dict, cached_sets: Callable[[], int]
) -> None:
    arguments = {
        "left_out": "two,small",
        "output": str(tmp_path / "out" / "loo"),
        "runs": str(tmp_path / "runs"),
        "networks": "unet",
        "steps": 5,
        "weights": {"small": 0.5},
        "scales": (0.8,),
        **settings_of(tiny),
    }
    before = cached_sets()
    table = leave_one_out(*sets, **arguments)
    assert cached_sets() == before  # the sections of one training are not kept while the next one runs
    figures = json.loads((tmp_path / "out" / "loo.json").read_text())
    assert table == markdown(figures) == (tmp_path / "out" / "loo.md").read_text().rstrip("\n")
    assert figures["sets"] == ["one", "two", "small"]
    assert figures["init_checkpoint_sha256"] is None
    for name in ("two", "small"):
        joint = tmp_path / "runs" / name / "joint" / "datalist.json"
        trained = {Path(item["image"]).parents[1].name for item in load_sections(joint, "training")}
        assert trained == {"one", "two", "small"} - {name}
        result = figures["results"]["unet"][name]
        assert 0 <= result["test"]["jaccard"] <= 1
        assert list(result["scales"]) == ["0.8"]
        assert result["threshold"] == 0.5
        assert (tmp_path / "out" / f"loo_{name}.jpg").stat().st_size > 0
        shown = load_sections(tmp_path / "runs" / name / "lists" / "scale_0.8" / "datalist.json", "test")
        assert {tuple(item["pixel_size_nm"]) for item in shown} == {(4.0, 4.0)}
    test = load_sections(tmp_path / "runs" / "two" / "lists" / "test" / "datalist.json", "test")
    development = load_sections(tmp_path / "runs" / "two" / "lists" / "development" / "datalist.json", "test")
    assert [Path(item["image"]).name for item in test] == ["test_000.png"]
    assert [Path(item["image"]).name for item in development] == ["training_000.png", "validation_000.png"]
    changed = (tmp_path / "runs" / "two" / "unet" / "checkpoint.pt").stat().st_mtime_ns
    assert leave_one_out(*sets, **arguments) == table  # nothing is trained again
    longer = leave_one_out(*sets, **arguments, test_time_augmentation=True)
    assert [line for line in longer.splitlines() if "augmentation" not in line] == table.splitlines()
    assert longer.count("with test-time augmentation") == 2
    adapted = leave_one_out(*sets, **arguments, adapt_steps=5)
    assert adapted.count("adapted without labels") == 2
    figures = json.loads((tmp_path / "out" / "loo.json").read_text())
    for name in ("two", "small"):
        made = tmp_path / "runs" / name / "unet" / "adapted"
        shown = json.loads((made / "data" / "datalist.json").read_text())["adapt"]["sections"]
        assert {Path(file).parents[1].name for file, _ in shown} == {name}
        scored = json.loads((tmp_path / "runs" / name / "unet" / "test_adapted" / "jaccard.json").read_text())
        assert scored["checkpoint"] == str(made / "model.pt")
        assert figures["results"]["unet"][name]["adapted"]["test"] == scored["without_crf"]["jaccard"]
    made = tmp_path / "runs" / "two" / "unet" / "adapted" / "before_after.jpg"
    drawn = made.stat().st_mtime_ns
    assert leave_one_out(*sets, **arguments, adapt_steps=5) == adapted
    assert made.stat().st_mtime_ns == drawn  # nothing is fitted again
    with pytest.raises(ValueError, match=r"scores\.json: these weights were adapted by 5 steps, not 10"):
        leave_one_out(*sets, **arguments, adapt_steps=10)
    assert (tmp_path / "runs" / "two" / "unet" / "checkpoint.pt").stat().st_mtime_ns == changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left_out": "three"}, "there is no set 'three' among one, two, small"),
        ({"networks": "vit"}, "networks must be of fusion_fcn, unet, but got 'vit'"),
        ({"steps": 7}, "steps must be a multiple of the 5 epochs, but got 7"),
        ({"adapt_steps": 8}, "steps must be a multiple of the 5 epochs, but got 8"),
        ({"scales": (0,)}, r"scales must hold factors above 0, but got \(0,\)"),
        ({"weights": {"four": 1}}, "there is no set 'four'"),
        ({"weights": {"small": 0}}, r"small.datalist.json: the weight of a set must be a positive number, but got 0"),
        ({"pixel_size": 5}, "--pixel_size cannot be given here"),
    ],
)
def test_mistakes(sets: list, tmp_path: Path, change: dict, message: str) -> None:
    arguments = {"left_out": "one", "output": str(tmp_path / "o"), "runs": str(tmp_path / "r"), **change}
    with pytest.raises(ValueError, match=message):
        leave_one_out(*sets, **arguments)


def test_two_sets_are_too_few(sets: list, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at least three sets, two of them to train on, .* but got 2"):
        leave_one_out(*sets[:2], left_out="one", output=str(tmp_path / "o"), runs=str(tmp_path / "r"))


def test_a_set_without_pixel_size_is_refused_before_the_training(sets: list, tmp_path: Path) -> None:
    folder = tmp_path / "unknown"
    shutil.copytree(sets[0], folder)
    content = json.loads((folder / "datalist.json").read_text())
    del content["pixel_size_nm"]
    (folder / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"unknown.datalist\.json: pixel_size_nm"):
        leave_one_out(*sets[1:], str(folder), left_out="unknown", output=str(tmp_path / "o"), runs=str(tmp_path / "r"))
    assert not any((tmp_path / "r").glob("**/*.pt"))
