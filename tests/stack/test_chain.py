"""Stacks with sections that cannot be registered."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from stacks import align, errors, loaded, write_folder
from textures import REFERENCE, SIZE, imaged, truth

from scripts.io import read_section, write_section
from scripts.registration import Transformation
from scripts.stack.store import RESULTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alignment of a stack where a blank section, one of other tissue and one folded over most of it lie between."""
    root = tmp_path_factory.mktemp("faulty")
    noise = gaussian_filter(np.random.default_rng(9).normal(size=SIZE), 2.5)
    sections = {
        "a_good": imaged(0)[0],
        "b_blank": np.full(SIZE, 70, np.uint8),
        "c_good": imaged(REFERENCE)[0],
        "d_noise": np.clip(150 + 30 * noise / noise.std(), 0, 255).astype(np.uint8),
        "e_folded": imaged(3)[0],
        "f_good": imaged(4)[0],
    }
    write_folder(root / "in", {f"{name}.png": pixels for name, pixels in sections.items()})
    mask = np.zeros(SIZE, np.uint8)
    mask[40:220] = 255
    write_section(root / "folds" / "e_folded.png", mask)
    align(root / "in", root / "out", reference=2, fold_masks_dir=root / "folds")
    return root / "out"


def test_sections_that_cannot_be_registered_are_reported(faulty: Path) -> None:
    with open(faulty / "report.csv", newline="") as file:
        table = {row["section"]: row for row in csv.DictReader(file)}
    statuses = {name: row["status"] for name, row in table.items()}
    failed = "not_registered"
    assert statuses == {
        "a_good": "registered",
        "b_blank": failed,
        "c_good": "reference",
        "d_noise": failed,
        "e_folded": failed,
        "f_good": "registered",
    }
    assert table["b_blank"]["message"] == "100% of the section shows no tissue; it is blank or torn"
    assert table["e_folded"]["message"] == "71% of the section is folded"  # the mask, and a pixel around it
    assert "too few matches" in table["d_noise"]["message"]
    assert not any(row["message"] for name, row in table.items() if statuses[name] != failed)


def test_sections_beyond_those_that_cannot_be_registered_are_aligned(faulty: Path) -> None:
    for name, index in (("a_good", 0), ("f_good", 4)):
        assert np.median(errors(faulty, name, "c_good", *truth(index))) < 0.7


@pytest.mark.parametrize(
    ("name", "sides", "weights"),
    [
        ("b_blank", ("a_good", "c_good"), (1, 1)),
        ("d_noise", ("c_good", "f_good"), (2, 1)),
        ("e_folded", ("c_good", "f_good"), (1, 2)),
    ],
)
def test_sections_not_registered_lie_between_their_neighbours(
    faulty: Path, name: str, sides: tuple[str, str], weights: tuple[int, int]
) -> None:
    points = truth(REFERENCE)[0]
    columns = np.column_stack([points, np.ones(len(points))])

    def affine(transformation: Transformation) -> np.ndarray:
        return columns @ np.linalg.lstsq(columns, transformation.forward(points), rcond=None)[0]

    own = loaded(faulty, name)
    np.testing.assert_allclose(own.forward(points), affine(own), atol=1e-6)
    expected = np.average([affine(loaded(faulty, side)) for side in sides], axis=0, weights=weights)
    # the mean over the nodes, which lie beyond the last pixels too, is not quite that over these points
    np.testing.assert_allclose(own.forward(points), expected, atol=0.5)
    assert np.abs(affine(loaded(faulty, "c_good")) - expected).max() > 1
    report = {entry["section"]: entry for entry in json.loads((faulty / "report.json").read_text())["sections"]}
    assert report[name]["neighbours"] == list(sides)
    if name != "b_blank":  # of the blank section nothing is left to be seen
        image, valid = (read_section(faulty / key / f"{name}{RESULTS[key]}") for key in ("images", "valid"))
        assert image[valid > 0].std() > 10


def test_a_blank_section_cannot_be_the_reference(tmp_path: Path) -> None:
    sections = {"a.png": imaged(1)[0], "b.png": np.full(SIZE, 70, np.uint8), "c.png": imaged(REFERENCE)[0]}
    folder = write_folder(tmp_path / "in", sections)
    with pytest.raises(ValueError, match=r"b\.png: cannot be the reference: 100% of the section shows no tissue"):
        align(folder, tmp_path / "explicit", reference=1)
    report = align(folder, tmp_path / "out")
    statuses = {entry["section"]: entry["status"] for entry in report["sections"]}
    assert report["reference"] in "ac"
    assert statuses[report["reference"]] == "reference"
    assert sorted(statuses.values()) == ["not_registered", "reference", "registered"]
    assert statuses["b"] == "not_registered"
    points, places = truth(1)
    inside = ((places >= 0) & (places < np.array(SIZE) - 1)).all(axis=1)
    assert np.median(errors(tmp_path / "out", "a", "c", points[inside], places[inside])) < 0.7


def test_a_stack_without_any_tissue(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", {f"{i}.png": np.full(SIZE, 70, np.uint8) for i in range(3)})
    with pytest.raises(ValueError, match=r"1\.png: at least one of the 3 sections must fit .*no tissue"):
        align(folder, tmp_path / "out")
