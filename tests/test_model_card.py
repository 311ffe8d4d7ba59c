"""The figures in the model card and the metadata are those of the committed outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.studies import ablation, active_learning, evaluate, finetune, leave_one_out

ROOT = Path(__file__).parents[1]
CARD = (ROOT / "docs" / "README.md").read_text()


def rows(table: str) -> list[str]:
    return [line for line in table.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("folder", ["", "unet", "synthetic", "synthetic/unet"])
def test_shipped_weights(folder: str) -> None:
    record = json.loads((ROOT / "models" / folder / "model.json").read_text())
    assert "\n".join(rows(evaluate.markdown(record["test"]))) in CARD


@pytest.mark.parametrize("data", ["drosophila_vnc", "sbem_brain"])
def test_table_1(data: str) -> None:
    figures = json.loads((ROOT / "docs" / "table1" / f"{data}.json").read_text())
    assert (ROOT / "docs" / "table1" / f"{data}.md").read_text() == ablation.markdown(figures)
    assert "\n".join(rows(ablation.markdown(figures))) in CARD


def test_finetuning() -> None:
    figures = json.loads((ROOT / "docs" / "results" / "finetune_sbem.json").read_text())
    assert "\n".join(rows(finetune.markdown(figures))) in CARD


def test_active_learning() -> None:
    figures = json.loads((ROOT / "docs" / "results" / "active_learning_vnc.json").read_text())
    assert "\n".join(rows(active_learning.markdown(figures))) in (ROOT / "docs" / "monai_label.md").read_text()


@pytest.mark.parametrize("figures_of", ["fusion_fcn", "adapted"])
def test_unseen_tissue(figures_of: str) -> None:
    figures = json.loads((ROOT / "docs" / "results" / f"unseen_{figures_of}.json").read_text())
    assert "\n".join(rows(leave_one_out.markdown(figures))) in (ROOT / "docs" / "unseen_tissue.md").read_text()


def test_metadata() -> None:
    metrics = json.loads((ROOT / "configs" / "metadata.json").read_text())["eval_metrics"]
    record = json.loads((ROOT / "models" / "model.json").read_text())
    assert metrics == {f"jaccard_{name}": round(r["with_crf"]["jaccard"], 3) for name, r in record["test"].items()}


def test_citation() -> None:
    version = json.loads((ROOT / "configs" / "metadata.json").read_text())["version"]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
