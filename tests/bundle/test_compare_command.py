from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bundle.analysis.compare import OBJECTS, PROFILES, compare
from bundle.analysis.statistics import compare_groups, hedges_g


def results(folder: Path, volumes: list[float], density: float = 1.0, unit: str = "um") -> None:
    """What `run objects` leaves, with volumes of whole mitochondria and one that is cut."""
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"unit": unit, "object_density_per_um3": density}))
    for name, columns, cut, values in (
        ("mitochondria.csv", OBJECTS, ["cut_by_border", "cut_by_ends"], volumes),
        ("profiles.csv", PROFILES, ["touches_border"], [1.0]),
    ):
        with open(folder / name, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, *cut])
            writer.writerows([[value] * len(columns) + [0] * len(cut) for value in values])
            writer.writerow([1e6] * len(columns) + [1] * len(cut))


def listed(folder: Path, *lines: str) -> str:
    (folder / "groups.csv").write_text("\n".join(["stack,animal,group", *lines]) + "\n")
    return str(folder / "groups.csv")


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_animal_is_the_unit(tmp_path: Path) -> None:
    """Hundreds of mitochondria of an animal count once, whatever the number of stacks that they come from."""
    lines = []
    for animal, (group, mean) in enumerate(
        [("old", 2.0), ("old", 2.2), ("old", 2.4), *[("young", 1.0 + 0.1 * i) for i in range(4)]]
    ):
        for part in range(2):
            results(tmp_path / f"s{animal}_{part}", [mean - 0.5, mean + 0.5] * (5 if part else 100))
            lines.append(f"s{animal}_{part},a{animal},{group}")
    said = compare(listed(tmp_path, *lines), str(tmp_path / "out"))
    assert "old (3 animals), young (4 animals)" in said
    assert "Too few" not in said
    means = {row["animal"]: float(row["volume_um3"]) for row in rows(tmp_path / "out" / "animals.csv")}
    assert means == pytest.approx({"a0": 2, "a1": 2.2, "a2": 2.4, "a3": 1, "a4": 1.1, "a5": 1.2, "a6": 1.3})
    row = next(row for row in rows(tmp_path / "out" / "comparison.csv") if row["feature"] == "volume_um3")
    assert (row["animals_a"], row["animals_b"]) == ("3", "4")
    assert float(row["p_permutation"]) == pytest.approx(2 / 35, rel=1e-3)  # 2 of the 35 ways to choose 3 of 7
    welch = stats.ttest_ind([2, 2.2, 2.4], [1, 1.1, 1.2, 1.3], equal_var=False).pvalue
    assert float(row["p_welch"]) == pytest.approx(welch, rel=1e-4)
    assert float(row["g_low"]) < float(row["hedges_g"]) < float(row["g_high"]) < 0
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert all(f"<title>a{animal}: " in page for animal in range(7))
    assert "http" not in page


def test_too_few_animals(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        results(tmp_path / name, [1.0, 2.0])
    said = compare(listed(tmp_path, "a,1,x", "b,2,x", "c,3,y", "d,4,y"), str(tmp_path / "out"))
    assert "Too few animals to test: x has 2" in said
    assert {row["p_welch"] for row in rows(tmp_path / "out" / "comparison.csv")} == {""}
    assert "Too few animals" in (tmp_path / "out" / "comparison.html").read_text()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,1,x", "b,1,y"], "animal 1 must be of one group"),
        (["a,1,x", "a,2,y"], "a stack must be named once"),
        (["a,1,x", "b,2,x"], "two groups or more"),
        (["a,1,"], "line 2"),
        (["a,1,x", "none,2,y"], "none: must hold the results"),
        (["a,1,x", "pixels,2,y"], "pixels: must have been measured with a pixel size"),
    ],
)
def test_faulty_groups(tmp_path: Path, lines: list[str], message: str) -> None:
    for name in ("a", "b"):
        results(tmp_path / name, [1.0])
    results(tmp_path / "pixels", [1.0], unit="px")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        compare(listed(tmp_path, *lines), str(tmp_path / "out"))


@pytest.mark.parametrize("again", ["a,1,x", "./a,1,x", "a/,1,x", "../groups/a,1,x", "link,1,x", "./a,5,y"])
def test_a_stack_counts_once_however_it_is_spelt(tmp_path: Path, again: str) -> None:
    folder = tmp_path / "groups"
    for name in ("a", "b", "c", "d"):
        results(folder / name, [1.0, 2.0])
    (folder / "link").symlink_to("a")
    groups = listed(folder, "a,1,x", "b,2,x", "c,3,y", "d,4,y", again)
    with pytest.raises(ValueError, match=r"groups\.csv: a stack must be named once, but got .*a.* more often"):
        compare(groups, str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("mitochondria.csv", ",", ";", "line 1 must have the column cut_by_border, but got volume_um3;surface_um2"),
        ("mitochondria.csv", "2.5,", "n/a,", "line 3, column volume_um3: must be a number, but got 'n/a'"),
        ("mitochondria.csv", "2.5,", '"2,5",', "line 3, column volume_um3: must be a number, but got '2,5'"),
        ("mitochondria.csv", "2.5,", "2,5,", "line 3 must have 8 cells as line 1"),
        ("profiles.csv", "mean_grey", "mean grey", "line 1 must have the column mean_grey"),
    ],
)
def test_a_table_that_another_program_saved(tmp_path: Path, table: str, old: str, new: str, message: str) -> None:
    for name in ("a", "b"):
        results(tmp_path / name, [1.5, 2.5])
    file = tmp_path / "a" / table
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ValueError, match=rf"{table}: {message}.*; export it with commas .* `run objects"):
        compare(listed(tmp_path, "a,1,x", "b,2,y"), str(tmp_path / "out"))


def test_a_table_that_excel_saved_as_utf_8(tmp_path: Path) -> None:
    for name in ("a", "b"):
        results(tmp_path / name, [1.5, 2.5])
    file = tmp_path / "a" / "mitochondria.csv"
    file.write_text(file.read_text(), encoding="utf-8-sig")
    compare(listed(tmp_path, "a,1,x", "b,2,y"), str(tmp_path / "out"))


def test_a_column_is_missing(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("stack,mouse,group\na,1,x\n")
    with pytest.raises(ValueError, match=r"groups\.csv: must have the columns stack, animal, group"):
        compare(str(tmp_path / "groups.csv"))


@pytest.mark.slow
def test_false_positives_are_as_rare_as_stated() -> None:
    """Of features that do not differ, one in twenty has p < 0.05, and few have q < 0.05."""
    rng = np.random.default_rng(0)
    features = {f"f{i}": {group: dict(enumerate(rng.normal(size=6))) for group in ("a", "b")} for i in range(200)}
    rows = compare_groups(features)
    for kind in ("permutation", "welch"):
        assert 0.02 < np.mean([row[f"p_{kind}"] < 0.05 for row in rows]) < 0.09
        assert np.mean([row[f"q_{kind}"] < 0.05 for row in rows]) < 0.02


def test_hedges_g() -> None:
    a, b = np.array([1.0, 2, 3]), np.array([3.0, 4, 5])
    assert hedges_g(a, b) == pytest.approx(2 * (1 - 3 / 15))
    assert np.isnan(hedges_g(a * 0, b * 0))
