from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.runs import ROOT, train
from bundle.studies.active_learning import _read, active_learning, markdown
from scripts.io import load_sections

WEIGHTS = str(ROOT / "models" / "model.pt")


@pytest.fixture(scope="module")
def weights(tiny_phantom: Path, tmp_path_factory: pytest.TempPathFactory, tiny: dict) -> str:
    folder = tmp_path_factory.mktemp("weights")
    settings = {**tiny, "dataset_dir": str(tiny_phantom), "patches_per_section": 1, "val_interval": 1}
    train("train", folder=folder, epochs=1, **settings)
    return str(folder / "model.pt")


def settings_of(tiny: dict) -> dict:
    return {key: value for key, value in tiny.items() if key != "batch_size"}


@pytest.mark.slow
def test_both_strategies_choose_and_go_on(
    tiny_phantom: Path, weights: str, tmp_path: Path, tiny: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the brightest section counts as the least certain one
    monkeypatch.setattr(
        "bundle.studies.active_learning.dropout_uncertainty", lambda _, image, seed: image.mean().item()
    )
    output = tmp_path / "out" / "al"
    arguments = {"labelled": (1, 2), "repeats": 1, "steps": 5, "runs": str(tmp_path / "runs"), **settings_of(tiny)}
    table = active_learning(str(tiny_phantom), weights, str(output), **arguments)
    figures = json.loads(output.with_suffix(".json").read_text())
    assert table == markdown(figures)
    for strategy in ("random", "epistemic"):
        first, second = figures[strategy][0]
        assert len(first["chosen"]) == 1
        assert second["chosen"][:1] == first["chosen"]
        assert len(set(second["chosen"])) == 2
        assert 0 <= second["with_crf"]["jaccard"] <= 1
    folders = sorted(path.name for path in (tmp_path / "runs" / tiny_phantom.name).iterdir())
    assert folders == ["epistemic_0_1", "epistemic_0_2", "random_0_1", "random_0_2"]
    trained = json.loads((tmp_path / "runs" / tiny_phantom.name / "random_0_2" / "settings.json").read_text())
    assert trained["settings"]["init_checkpoint"].endswith("random_0_1/model.pt")
    assert output.with_suffix(".png").stat().st_size > 0


def test_the_table_names_mean_and_range() -> None:
    def rounds(score: float) -> list:
        return [{"with_crf": {"jaccard": score}}]

    figures = {
        "data": "tissue",
        "labelled": [2],
        "before": {"with_crf": {"jaccard": 0.25}},
        "random": [rounds(0.4), rounds(0.6)],
        "epistemic": [rounds(0.5), rounds(0.7)],
    }
    table = markdown(figures)
    assert "| at random | 0.500 (0.400 to 0.600) |" in table
    assert "| by uncertainty | 0.600 (0.500 to 0.700) |" in table
    assert "of 2 draws; 0.250 before" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labelled": (2, 1)}, r"labelled must hold ascending numbers from 1 to 4, but got \(2, 1\)"),
        ({"labelled": (5,)}, "from 1 to 4"),
        ({"repeats": 0}, "repeats must be at least 1, but got 0"),
        ({"steps": 7}, "steps must be a multiple of the 5 epochs, but got 7"),
        ({"seed": 1}, "--seed cannot be given here"),
    ],
)
def test_bad_arguments(tiny_phantom: Path, weights: str, tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        active_learning(str(tiny_phantom), weights, str(tmp_path / "al"), **arguments)


def test_sections_are_read_as_the_network_sees_them(tiny_phantom: Path) -> None:
    first, second = load_sections(tiny_phantom / "datalist.json", "training")  # 96x96 pixels of 5 nm
    pool = [{**first, "region": [0, 0, 96, 48]}, {**second, "pixel_size_nm": [10.0, 5.0]}]
    sections = _read(pool, WEIGHTS)
    assert [tuple(section.shape) for section in sections] == [(1, 48, 24), (1, 96, 48)]
    assert sections[0].min() < 0.1 < 0.9 < sections[0].max()  # equalised
    assert _read(pool[:1], WEIGHTS, network_pixel_size=2.5, equalize="none")[0].shape == (1, 192, 96)
    with pytest.raises(ValueError, match=r"its list says that pixels are 5 nm, --pixel_size says 4 nm"):
        _read(pool[:1], WEIGHTS, pixel_size=4)
    unknown = [{key: value for key, value in first.items() if key != "pixel_size_nm"}]
    assert _read(unknown, WEIGHTS, pixel_size=[5, 10])[0].shape == (1, 48, 96)
