from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bundle.runs import ROOT
from bundle.studies.registration import evaluate_registration, measures
from bundle.studies.registration.measures import configured_registration
from bundle.studies.registration.report import markdown

RESULTS = ROOT / "docs" / "results"


def test_unknown_part(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="but got tables"):
        evaluate_registration(output=str(tmp_path), parts=("vnc", "tables"))


@pytest.mark.parametrize("phantoms", [0, -1, 2.5])
def test_figures_are_not_replaced_by_none(tmp_path: Path, phantoms: float) -> None:
    with pytest.raises(ValueError, match=f"phantoms must be .* but got {phantoms}"):
        evaluate_registration(output=str(tmp_path), parts=("phantoms",), phantoms=phantoms)
    (tmp_path / "registration.json").write_text("{")
    with pytest.raises(ValueError, match=r"registration\.json: is damaged"):
        evaluate_registration(output=str(tmp_path), parts=("phantoms",))
    assert (tmp_path / "registration.json").read_text() == "{"


def test_missing_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        evaluate_registration(output=str(tmp_path), parts=("folded",), folded=str(tmp_path / "nowhere"))


@pytest.mark.slow
def test_known_deformations_are_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # as where itk-elastix is not installed: it is the slowest, and nothing is asserted of it
    monkeypatch.setattr("bundle.studies.registration.phantoms._elastix", lambda *_: None)
    text = evaluate_registration(output=str(tmp_path), parts=("phantoms",), phantoms=1, size=384)
    assert (tmp_path / "registration.md").read_text() == text
    rows = json.loads((tmp_path / "registration.json").read_text())["phantoms"]["figures"]

    def error(method: str, folded: bool, place: str) -> float:
        found = [r for r in rows if r["neighbour"] == "the same section" and r["folded"] == folded]
        return next(r[place] for r in found if r["method"] == method)

    assert error("moving least squares around folds", False, "far") < 1
    assert error("one affine model", False, "far") > 1
    assert error("moving least squares around folds", True, "far") < 1
    assert error("moving least squares around folds", True, "near") < 3
    assert error("plain moving least squares", True, "near") > 2 * error(
        "moving least squares around folds", True, "near"
    )


def test_committed_tables_are_those_of_the_figures() -> None:
    figures = json.loads((RESULTS / "registration.json").read_text())
    text = markdown(figures)
    assert (RESULTS / "registration.md").read_text() == text
    page = (ROOT / "docs" / "registration.md").read_text()
    for line in text.splitlines():
        if line.startswith("|"):
            assert line in page
    recovered = figures["vnc"]["figures"]["recovered_by_section"]
    assert np.isfinite(recovered).all()


def test_measured_is_what_the_config_says() -> None:
    config = json.loads((ROOT / "configs" / "register.json").read_text())
    registration = configured_registration()
    for key in ("max_ratio", "residual_threshold", "patch_size", "patch_step"):
        assert getattr(registration, key) == config["pair"][key]
    assert list(registration.search_radii) == config["pair"]["search_radii"]
    assert registration.features.settings() == {k: v for k, v in config["features"].items() if k != "_target_"}
    assert registration.deformation.kernel_radius == config["kernel_radius"]
    assert registration.deformation.grid_nodes == config["deformation"]["grid_nodes"]
    assert registration.deformation.fold_aware
    plain = configured_registration(fold_aware=False)
    assert not plain.deformation.fold_aware
    assert plain.settings() == {**registration.settings(), "deformation": plain.deformation.settings()}


def test_a_change_of_the_config_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.loads((ROOT / "configs" / "register.json").read_text())
    config["pair"]["max_ratio"] = 0.8
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "register.json").write_text(json.dumps(config))
    monkeypatch.setattr(measures, "ROOT", tmp_path)
    assert configured_registration().max_ratio == 0.8
