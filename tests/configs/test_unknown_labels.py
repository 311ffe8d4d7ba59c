"""Labels that are known in a part of a section: what lies elsewhere changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.data.combine import combine
from scripts.config import first_cause
from scripts.io import find_sections, load_sections, read_section, write_json, write_section

KNOWN = slice(20, 70)
"""Columns that somebody looked at."""


def data_set(folder: Path, source: Path, garbage: int | None, by_value: bool) -> Path:
    """The phantom with labels that are right in `KNOWN`; elsewhere they are garbage, or marked by a value."""
    parts = {}
    for part in ("training", "validation", "test"):
        parts[part] = []
        for section in load_sections(source / "datalist.json", part):
            name = Path(section["image"]).name
            true = read_section(section["label"])
            label = np.full_like(true, 128 if by_value else garbage)
            label[KNOWN] = true[KNOWN]
            write_section(folder / "images" / name, read_section(section["image"]))
            write_section(folder / "labels" / name, label)
            item = {"image": f"images/{name}", "label": f"labels/{name}"}
            if not by_value:
                known = np.zeros_like(true)
                known[KNOWN] = 255
                write_section(folder / "known" / name, known)
                item["known"] = f"known/{name}"
            parts[part].append(item)
    shared = {"pixel_size_nm": 5, **({"ignore_value": 128} if by_value else {})}
    write_json(folder / "datalist.json", {**shared, **parts})
    return folder


@pytest.mark.slow
def test_trainings_do_not_see_what_is_not_known(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    """Two kinds of garbage, and a value that says so: the same weights to the bit, and the same validation."""
    results = []
    for name, garbage, by_value in (("empty", 0, False), ("full", 255, False), ("value", None, True)):
        folder = data_set(tmp_path / name, tiny_phantom, garbage, by_value)
        run_config("train", dataset_dir=str(folder), ckpt_dir=str(tmp_path / f"{name}_run"))
        checkpoint = torch.load(tmp_path / f"{name}_run" / "checkpoint.pt", weights_only=True)
        results.append((checkpoint["network"], checkpoint["best_metric"]))
    (first, metric), *others = results
    assert 0 < metric < 1
    for weights, other in others:
        assert other == metric
        assert all(torch.equal(first[key], weights[key]) for key in first)
    run_config("train", dataset_dir=str(tiny_phantom), ckpt_dir=str(tmp_path / "whole_run"))
    whole = torch.load(tmp_path / "whole_run" / "checkpoint.pt", weights_only=True)["network"]
    assert any(not torch.equal(first[key], whole[key]) for key in first)


def test_evaluations_count_what_is_known(
    run_config: Callable, tiny_phantom: Path, weights: Path, tmp_path: Path
) -> None:
    figures = []
    for name, garbage, by_value in (("full", 255, False), ("value", None, True)):
        folder = data_set(tmp_path / name, tiny_phantom, garbage, by_value)
        out = tmp_path / f"{name}_out"
        run_config("inference", "evaluate", dataset_dir=str(folder), checkpoint=str(weights), output_dir=str(out))
        figures.append(json.loads((out / "jaccard.json").read_text())["with_crf"])
    assert figures[0] == figures[1]
    masks = tmp_path / "masks"
    images = str(tiny_phantom / "images" / "test_*.png")
    run_config("inference", dataset_dir=images, checkpoint=str(weights), output_dir=str(masks), pixel_size=5.0)
    both = either = 0
    for mask, section in zip(find_sections(masks), load_sections(tiny_phantom / "datalist.json", "test"), strict=True):
        found, true = (read_section(file)[KNOWN] > 0 for file in (mask, section["label"]))
        both, either = both + (found & true).sum(), either + (found | true).sum()
    assert 0 < both < either
    assert figures[0]["jaccard"] == pytest.approx(both / either)


def test_lists_that_say_it_wrongly(run_config: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    folder = data_set(tmp_path / "data", tiny_phantom, 255, by_value=False)
    content = json.loads((folder / "datalist.json").read_text())
    write_json(folder / "datalist.json", {**content, "ignore_value": 0})
    with pytest.raises(ValueError, match="ignore_value must be a whole number from 1 on, but got 0"):
        load_sections(folder / "datalist.json", "training")
    write_json(folder / "datalist.json", content)
    name = Path(content["training"][0]["known"]).name
    mask = read_section(folder / "known" / name)
    write_section(folder / "known" / name, mask[:50])
    with pytest.raises(ValueError, match=rf"its mask of what is known, .*{name}, is 50x96"):
        load_sections(folder / "datalist.json", "training")
    write_section(folder / "known" / name, np.zeros_like(mask))
    with pytest.raises(RuntimeError) as caught:
        run_config("train", dataset_dir=str(folder), ckpt_dir=str(tmp_path / "run"))
    assert f"labels/{name}: no pixel has a label that is known" in str(first_cause(caught.value))
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_joined_lists_keep_it(tiny_phantom: Path, tmp_path: Path) -> None:
    lists = [data_set(tmp_path / name, tiny_phantom, 255, name == "value") for name in ("mask", "value")]
    combine(*(str(folder / "datalist.json") for folder in lists), output=str(tmp_path / "joint"))
    sections = load_sections(tmp_path / "joint" / "datalist.json", "training")
    assert [section.ignore_value for section in sections] == [None, None, 128, 128]
    assert [section.known is not None for section in sections] == [True, True, False, False]
