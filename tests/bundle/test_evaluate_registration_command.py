from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bundle.runs import ROOT
from bundle.studies.evaluate_registration import evaluate_registration, markdown

RESULTS = ROOT / "docs" / "results"


def test_unknown_part(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got tables"):
        evaluate_registration(output=str(tmp_path), parts=("vnc", "tables"))


def test_missing_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        evaluate_registration(output=str(tmp_path), parts=("folded",), folded=str(tmp_path / "nowhere"))


def test_known_deformations_are_recovered(tmp_path: Path) -> None:
    text = evaluate_registration(output=str(tmp_path), parts=("phantoms",), phantoms=1, size=448)
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
    recovered = figures["vnc"]["figures"]["recovered, by section"]
    assert np.isfinite(recovered).all()
