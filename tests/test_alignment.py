"""Alignment of stacks whose deformations are known."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import binary_dilation, gaussian_filter

from scripts.alignment import StackAlignment, _eight_bit, carry
from scripts.data.phantom import Deformation
from scripts.io import find_sections, read_header, read_section, write_section
from scripts.registration import (
    FoldFinder,
    MovingLeastSquares,
    PairRegistration,
    SIFTFeatures,
    Transformation,
    to_section,
)

SIZE = (256, 240)
MARGIN = 48
COUNT = 5
REFERENCE = 2
"""This section is not deformed, so that its frame is that of the truth."""
FOLDED = 4
FOLDS = [f"registration#folds#{key}" for key in ("darkness", "displacement", "length", "slenderness")]
OUTPUTS = {"images": ".tif", "valid": ".png", "transformations": ".npz", "pictures": ".png"}


def tissue(z: float) -> np.ndarray:
    """Grey texture, larger than a section, that changes slowly with z."""
    rng = np.random.default_rng(0)
    shape = tuple(n + 2 * MARGIN for n in SIZE)
    result = np.zeros(shape)
    for sigma in (1.5, 3.0, 6.0):
        first, second = (gaussian_filter(rng.normal(size=shape), sigma) for _ in range(2))
        field = np.cos(0.25 * z) * first + np.sin(0.25 * z) * second
        result += field / field.std()
    return (0.6 + 0.1 * result / result.std()).clip(0, 1)


@cache
def imaged(index: int, fold: bool = False) -> tuple[np.ndarray, Deformation]:
    """A section of the tissue, uint8, and how it was deformed."""
    rng = np.random.default_rng([5, index])
    deformation = Deformation.random(SIZE, rng, misalign=index != REFERENCE, fold=fold)
    ideal = tissue(index)
    image, _ = deformation.apply(ideal, np.zeros(ideal.shape, np.uint8))
    image = image + 0.02 * rng.normal(size=SIZE)
    return np.clip(255 * image, 0, 255).astype(np.uint8), deformation


def truth(index: int, fold: bool = False, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) of a section that no fold hides, and where they belong in the reference."""
    points = np.stack(np.meshgrid(*(np.arange(4, n - 4, 4) for n in size), indexing="ij"), axis=-1).reshape(-1, 2)
    deformation = imaged(index, fold)[1]
    points = points[~deformation.fold[tuple(points.T)]]
    return points.astype(float), points + deformation.displacement[:, *points.T].T


def registration(find_folds: bool = False, **settings: object) -> PairRegistration:
    """What registers small sections fast."""
    settings = {"patch_size": 40, "patch_step": 16, "radii": (16, 8), **settings}
    folds = FoldFinder() if find_folds else None
    return PairRegistration(SIFTFeatures(3000, 0.02), MovingLeastSquares(nodes=32), folds, **settings)


def alignment(source: object, output: Path, pair: PairRegistration | None = None, **settings: object) -> StackAlignment:
    return StackAlignment(find_sections(source), output, pair or registration(), **settings)


def align(source: object, output: Path, pair: PairRegistration | None = None, **settings: object) -> dict:
    """Align a stack, and give its report."""
    stack = alignment(source, output, pair, **settings)
    stack.check()
    stack.run()
    return json.loads((output / "report.json").read_text())


def write_folder(folder: Path, sections: dict[str, np.ndarray]) -> Path:
    for name, pixels in sections.items():
        write_section(folder / name, pixels)
    return folder


def loaded(output: Path, name: str) -> Transformation:
    return Transformation.load(output / "transformations" / f"{name}.npz")


def errors(output: Path, name: str, reference: str, points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How far from their places in the reference the points of a section have come, in pixels."""
    expected = loaded(output, reference).forward(places)
    return np.linalg.norm(loaded(output, name).forward(points) - expected, axis=1)


def assert_same_results(output: Path, expected: Path) -> None:
    for key in OUTPUTS:
        names = sorted(file.name for file in (expected / key).iterdir())
        assert sorted(file.name for file in (output / key).iterdir()) == names
        if key != "transformations":
            for name in names:
                assert (output / key / name).read_bytes() == (expected / key / name).read_bytes(), name
    for name in ("report.json", "report.csv"):
        assert (output / name).read_text() == (expected / name).read_text()


def correlation(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    return float(np.corrcoef(first[where], second[where])[0, 1])


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of five sections, the last one with a fold."""
    sections = {f"section_{i}.png": imaged(i, fold=i == FOLDED)[0] for i in range(COUNT)}
    return write_folder(tmp_path_factory.mktemp("stack"), sections)


@pytest.fixture(scope="session")
def aligned(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its alignment; not to be changed."""
    output = tmp_path_factory.mktemp("aligned") / "output"
    align(folder, output, registration(find_folds=True))
    return output


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of three sections without folds."""
    return write_folder(tmp_path_factory.mktemp("three"), {f"section_{i}.png": imaged(i)[0] for i in (1, 2, 3)})


@pytest.fixture(scope="session")
def aligned_three(three: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its alignment; not to be changed."""
    output = tmp_path_factory.mktemp("aligned_three") / "output"
    align(three, output)
    return output


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list]:
    """Count how often a section is registered; from a given call on this fails, as if the run were killed."""
    original = PairRegistration.__call__

    def watch(most: int | None = None) -> list:
        done: list = []

        def register(self: PairRegistration, *arguments: object) -> object:
            if len(done) == most:
                raise KeyboardInterrupt
            done.append(arguments)
            return original(self, *arguments)

        monkeypatch.setattr(PairRegistration, "__call__", register)
        return done

    return watch


def test_each_section_has_all_its_results(folder: Path, aligned: Path) -> None:
    names = [f"section_{i}" for i in range(COUNT)]
    for key, suffix in OUTPUTS.items():
        assert sorted(file.name for file in (aligned / key).iterdir()) == [f"{name}{suffix}" for name in names]
    report = json.loads((aligned / "report.json").read_text())
    assert report["reference"] == f"section_{REFERENCE}"
    size = (report["width"], report["height"])
    for name, entry in zip(names, report["sections"], strict=True):
        image, valid = read_section(aligned / "images" / f"{name}.tif"), read_section(aligned / "valid" / f"{name}.png")
        assert image.shape == valid.shape == size
        assert image.dtype == valid.dtype == np.uint8
        assert set(np.unique(valid)) == {0, 255}
        assert not image[valid == 0].any()
        assert image[valid > 0].mean() > 100
        assert entry["section"] == name
        assert entry["image"] == str(folder / f"{name}.png")
        assert entry["without_source"] == pytest.approx((valid == 0).mean(), abs=1e-3)
        assert Transformation.load_sizes(aligned / "transformations" / f"{name}.npz") == (SIZE, size)


def test_the_table_says_what_the_report_says(aligned: Path) -> None:
    report = json.loads((aligned / "report.json").read_text())["sections"]
    with open(aligned / "report.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["section"] for row in table] == [entry["section"] for entry in report]
    statuses = [row["status"] for row in table]
    assert statuses == ["registered", "registered", "reference", "registered", "registered"]
    for row, entry in zip(table, report, strict=True):
        for key, cell in row.items():
            assert cell == str(entry.get(key, ""))
    for entry in report[:REFERENCE] + report[REFERENCE + 1 :]:
        assert entry["residual_after"] < 0.5 < 2 < entry["residual_before"]
        assert entry["correlation_after"] > 0.8 > 0.5 > entry["correlation_before"]
        assert entry["jacobian_exceptions"] == 0
    assert report[FOLDED]["fold_share"] > 0.02
    assert all(entry.get("fold_share", 0) == 0 for entry in report[:FOLDED])


def test_the_displacement_found_is_the_true_one(aligned: Path) -> None:
    for index in range(COUNT):
        points, places = truth(index, fold=index == FOLDED)
        moved = np.median(np.linalg.norm(places - points, axis=1))
        assert moved > 4 or index == REFERENCE
        error = errors(aligned, f"section_{index}", f"section_{REFERENCE}", points, places)
        assert np.nanmedian(error) < 0.7
        assert np.nanpercentile(error, 90) < 2
        assert np.isfinite(error).mean() > 0.9


def test_both_sides_of_a_fold_are_aligned(aligned: Path) -> None:
    points, places = truth(FOLDED, fold=True)
    error = errors(aligned, f"section_{FOLDED}", f"section_{REFERENCE}", points, places)
    # the tissue on the two sides was drawn together, so it is moved apart in different directions
    offset = places - points
    sides = (offset - offset.mean(axis=0)) @ np.linalg.svd(offset - offset.mean(axis=0))[2][0] > 0
    for side in (sides, ~sides):
        assert side.mean() > 0.15
        assert np.nanmedian(error[side]) < 1
    hidden, deformation = loaded(aligned, f"section_{FOLDED}").fold, imaged(FOLDED, fold=True)[1]
    assert (hidden & deformation.fold).sum() > 0.7 * deformation.fold.sum()
    assert (hidden & (deformation.edge < 8)).sum() > 0.9 * hidden.sum()


def test_aligned_neighbours_are_more_alike(folder: Path, aligned: Path) -> None:
    everywhere = np.ones(SIZE, bool)
    for index in range(COUNT - 1):
        names = [f"section_{i}" for i in (index, index + 1)]
        before = correlation(*(read_section(folder / f"{name}.png") for name in names), everywhere)
        valid = np.all([read_section(aligned / "valid" / f"{name}.png") > 0 for name in names], axis=0)
        after = correlation(*(read_section(aligned / "images" / f"{name}.tif") for name in names), valid)
        assert before < 0.6
        assert after > 0.85


def test_nothing_is_cut_off(aligned: Path) -> None:
    sizes = read_header(aligned / "images" / "section_0.tif")
    everywhere = np.full((sizes.width, sizes.height), 255, np.uint8)
    for index in range(COUNT):
        transformation = loaded(aligned, f"section_{index}")
        _, valid = to_section(everywhere, transformation)
        hidden = np.zeros(SIZE, bool) if transformation.fold is None else transformation.fold
        np.testing.assert_array_equal(valid, ~binary_dilation(hidden) | (valid & ~hidden))
        assert valid.mean() > 0.85


def test_canvas_of_the_reference(three: Path, tmp_path: Path) -> None:
    report = align(three, tmp_path, canvas="reference")
    assert (report["width"], report["height"]) == SIZE
    for index in (1, 2, 3):
        assert read_section(tmp_path / "images" / f"section_{index}.tif").shape == SIZE
        assert (read_section(tmp_path / "valid" / f"section_{index}.png") > 0).mean() > 0.8
    # the reference stays as it is
    np.testing.assert_array_equal(read_section(tmp_path / "images" / "section_2.tif"), imaged(REFERENCE)[0])


def test_pixels_of_16_bits(three: Path, aligned_three: Path, tmp_path: Path) -> None:
    pages = np.stack([imaged(i)[0].astype(np.uint16) * 200 for i in (1, 2, 3)], axis=-1)
    write_section(tmp_path / "stack.tif", pages)
    align(tmp_path / "stack.tif", tmp_path / "out")
    for page, index in enumerate((1, 2, 3)):
        image = read_section(tmp_path / "out" / "images" / f"stack_{page}.tif")
        assert image.dtype == np.uint16
        expected = read_section(aligned_three / "images" / f"section_{index}.tif")
        assert image.shape == expected.shape
        assert np.abs(image / 200 - expected).mean() < 1


def test_sections_are_matched_at_a_lower_resolution(three: Path, tmp_path: Path) -> None:
    coarse = registration(patch_size=24, patch_step=8, radii=(8, 4))
    report = align(three, tmp_path, coarse, working_size=128, canvas="reference")
    assert report["working_resolution"] == "1/2"
    points = truth(REFERENCE)[0]
    np.testing.assert_allclose(loaded(tmp_path, f"section_{REFERENCE}").forward(points), points, atol=1e-6)
    for index in (1, 3):
        error = errors(tmp_path, f"section_{index}", f"section_{REFERENCE}", *truth(index))
        assert np.median(error) < 0.7
    # lengths of the report are those of the sections themselves
    moved = [np.median(np.linalg.norm(np.subtract(*truth(index)), axis=1)) for index in (1, 3)]
    residuals = [report["sections"][i]["residual_before"] for i in (0, 2)]
    np.testing.assert_allclose(residuals, moved, rtol=0.3)


def test_sections_of_different_sizes(tmp_path: Path) -> None:
    sizes = {1: (220, 232), 2: SIZE, 3: (250, 200)}
    sections = {f"section_{i}.png": imaged(i)[0][:width, :height] for i, (width, height) in sizes.items()}
    report = align(write_folder(tmp_path / "in", sections), tmp_path / "out")
    for index, size in sizes.items():
        image = read_section(tmp_path / "out" / "images" / f"section_{index}.tif")
        assert image.shape == (report["width"], report["height"])
        assert Transformation.load_sizes(tmp_path / "out" / "transformations" / f"section_{index}.npz")[0] == size
        error = errors(tmp_path / "out", f"section_{index}", "section_2", *truth(index, size=size))
        assert np.median(error) < 0.7
        _, valid = to_section(np.ones(image.shape, np.uint8), loaded(tmp_path / "out", f"section_{index}"))
        assert valid.all()


def test_fold_masks_are_used(tmp_path: Path) -> None:
    sections = {"a.png": imaged(REFERENCE)[0], "b.png": imaged(FOLDED, fold=True)[0]}
    mask = imaged(FOLDED, fold=True)[1].edge < 2
    write_section(tmp_path / "folds" / "b.tif", np.where(mask, np.uint8(255), np.uint8(0)))
    folder = write_folder(tmp_path / "in", sections)
    report = align(folder, tmp_path / "out", reference=0, folds_dir=tmp_path / "folds")
    widened = binary_dilation(mask, np.ones((3, 3)))
    assert report["sections"][1]["fold_share"] == pytest.approx(widened.mean(), abs=1e-3)
    np.testing.assert_array_equal(loaded(tmp_path / "out", "b").fold, widened)
    error = errors(tmp_path / "out", "b", "a", *truth(FOLDED, fold=True))
    assert np.nanmedian(error) < 1
    assert np.nanpercentile(error, 90) < 3


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"section_2.png": (250, 240)}, "section_2.png: has 250x240 pixels, its section 256x240"),
        ({"section_7.png": SIZE}, "section_7.png: is a fold mask of no section; sections are named section_1"),
        (None, "folds: no such folder of fold masks"),
    ],
)
def test_fold_masks_that_do_not_fit(three: Path, tmp_path: Path, masks: dict | None, message: str) -> None:
    for name, size in (masks or {}).items():
        write_section(tmp_path / "folds" / name, np.zeros(size, np.uint8))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        alignment(three, tmp_path / "out", folds_dir=tmp_path / "folds")
    assert not (tmp_path / "out").exists()


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
    align(root / "in", root / "out", reference=2, folds_dir=root / "folds")
    return root / "out"


def test_sections_that_cannot_be_registered_are_reported(faulty: Path) -> None:
    with open(faulty / "report.csv", newline="") as file:
        table = {row["section"]: row for row in csv.DictReader(file)}
    statuses = {name: row["status"] for name, row in table.items()}
    passed = "passed through"
    assert statuses == {
        "a_good": "registered",
        "b_blank": passed,
        "c_good": "reference",
        "d_noise": passed,
        "e_folded": passed,
        "f_good": "registered",
    }
    assert table["b_blank"]["message"] == "100% of the section shows no tissue; it is blank or torn"
    assert table["e_folded"]["message"] == "71% of the section is folded"  # the mask, and a pixel around it
    assert "too few matches" in table["d_noise"]["message"]
    assert not any(row["message"] for name, row in table.items() if statuses[name] != passed)


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
def test_sections_passed_through_lie_between_their_neighbours(
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
        image, valid = (read_section(faulty / key / f"{name}{OUTPUTS[key]}") for key in ("images", "valid"))
        assert image[valid > 0].std() > 10


def test_a_blank_section_cannot_be_the_reference(tmp_path: Path) -> None:
    sections = {"a.png": imaged(1)[0], "b.png": np.full(SIZE, 70, np.uint8), "c.png": imaged(REFERENCE)[0]}
    folder = write_folder(tmp_path / "in", sections)
    with pytest.raises(ValueError, match=r"b\.png cannot be the reference: 100% of the section shows no tissue"):
        align(folder, tmp_path / "explicit", reference=1)
    report = align(folder, tmp_path / "out")
    statuses = {entry["section"]: entry["status"] for entry in report["sections"]}
    assert report["reference"] in "ac"
    assert statuses[report["reference"]] == "reference"
    assert sorted(statuses.values()) == ["passed through", "reference", "registered"]
    assert statuses["b"] == "passed through"
    points, places = truth(1)
    inside = ((places >= 0) & (places < np.array(SIZE) - 1)).all(axis=1)
    assert np.median(errors(tmp_path / "out", "a", "c", points[inside], places[inside])) < 0.7


def test_a_stack_without_any_tissue(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", {f"{i}.png": np.full(SIZE, 70, np.uint8) for i in range(3)})
    with pytest.raises(ValueError, match=r"none of the 3 sections can be the reference; .*2\.png: .*no tissue"):
        align(folder, tmp_path / "out")


def test_a_killed_registration_goes_on(folder: Path, aligned: Path, tmp_path: Path, calls: Callable) -> None:
    pair = registration(find_folds=True)
    calls(2)
    with pytest.raises(KeyboardInterrupt):
        align(folder, tmp_path, pair)
    assert not (tmp_path / "report.json").exists()
    assert not (tmp_path / "images").exists()
    done = calls()
    align(folder, tmp_path, pair)
    assert len(done) == COUNT - 1 - 2
    assert_same_results(tmp_path, aligned)


def test_killed_warping_goes_on(
    folder: Path, aligned: Path, tmp_path: Path, calls: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, pair = tmp_path / "output", registration(find_folds=True)
    shutil.copytree(aligned / "chain", output / "chain")
    write = tifffile.imwrite
    written = []

    def killed(target: Path, *arguments: object, **settings: object) -> None:
        write(target, *arguments, **settings)
        written.append(target)
        if len(written) == 3:
            os.truncate(target, 1000)
            raise KeyboardInterrupt

    done = calls()
    with monkeypatch.context() as patch:
        patch.setattr(tifffile, "imwrite", killed)
        with pytest.raises(KeyboardInterrupt):
            align(folder, output, pair)
    files = [file.relative_to(output) for key in OUTPUTS for file in (output / key).iterdir()]
    assert len(files) == 2 * len(OUTPUTS)
    for file in files:
        assert (output / file).read_bytes() == (aligned / file).read_bytes() or file.suffix == ".npz"
        os.utime(output / file, (0, 0))
    assert not (output / "report.json").exists()
    align(folder, output, pair)
    assert not done
    assert all((output / file).stat().st_mtime == 0 for file in files)
    assert_same_results(output, aligned)


def test_a_finished_run_does_nothing_again(three: Path, aligned_three: Path, tmp_path: Path, calls: Callable) -> None:
    output = tmp_path / "output"
    shutil.copytree(aligned_three, output)
    results = [file for key in (*OUTPUTS, "chain") for file in (output / key).iterdir() if file.stem != "settings"]
    for file in results:
        os.utime(file, (0, 0))
    done = calls()
    align(three, output)
    assert not done
    assert all(file.stat().st_mtime == 0 for file in results)
    assert_same_results(output, aligned_three)


@pytest.mark.parametrize(
    ("settings", "differing"),
    [
        ({"neighbours": 1}, "neighbours"),
        ({"canvas": "reference", "chunk": 20}, "canvas, chunk"),
        ({"pair": registration(patch_size=48)}, "registration#patch_size"),
        ({"pair": registration(find_folds=True)}, ", ".join(FOLDS)),
    ],
)
def test_another_alignment_is_not_mixed_in(
    three: Path, aligned_three: Path, tmp_path: Path, settings: dict, differing: str
) -> None:
    output = tmp_path / "output"
    shutil.copytree(aligned_three, output)
    message = f"{output} holds another alignment; what differs: {differing}. Choose"
    with pytest.raises(FileExistsError) as caught:
        alignment(three, output, **settings).check()
    assert message in str(caught.value)
    assert_same_results(output, aligned_three)
    assert (output / "chain" / "settings.json").read_text() == (aligned_three / "chain" / "settings.json").read_text()


def test_other_or_changed_sections_are_not_mixed_in(three: Path, aligned_three: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "output"
    shutil.copytree(three, folder)
    shutil.copytree(aligned_three, output)
    with pytest.raises(FileExistsError, match=r"what differs: sections\."):
        alignment(folder, output).check()
    alignment(folder, tmp_path / "other").check()
    alignment(folder, tmp_path / "other").check()
    os.utime(folder / "section_1.png", (0, 0))
    with pytest.raises(FileExistsError, match=r"what differs: sections\."):
        alignment(folder, tmp_path / "other").check()


def test_overwrite_replaces_another_alignment(three: Path, aligned: Path, aligned_three: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    shutil.copytree(aligned, output)
    align(three, output, overwrite=True)
    assert_same_results(output, aligned_three)
    assert {file.stem for file in (output / "chain").iterdir()} == {"section_1", "section_3", "settings"}


@pytest.mark.parametrize("output", [".", "in", "in/.."])
def test_output_folder_with_the_sections(three: Path, tmp_path: Path, output: str) -> None:
    shutil.copytree(three, tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"the output folder holds the section .*section_1\.png; choose another"):
        alignment(tmp_path / "in", tmp_path / output, overwrite=True).check()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_are_not_of_an_alignment_are_left_alone(three: Path, tmp_path: Path, overwrite: bool) -> None:
    for name in ("images/scan.tif", "pictures/holiday.png"):
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text("of the user")
        with pytest.raises(FileExistsError, match=f"{name}: is not of an alignment; choose another --output_dir"):
            alignment(three, tmp_path, overwrite=overwrite).check()
        assert file.read_text() == "of the user"
        file.unlink()


def test_a_damaged_section_is_named(three: Path, tmp_path: Path) -> None:
    shutil.copytree(three, tmp_path / "in")
    os.truncate(tmp_path / "in" / "section_3.png", 3000)
    with pytest.raises(ValueError, match=r"section_3\.png: cannot be read"):
        align(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out" / "images").exists()
    assert not (tmp_path / "out" / "report.json").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"working_size": 63}, "working_size has to be a whole number from 64 on, got 63"),
        ({"neighbours": 0}, "neighbours has to be a whole number from 1 on, got 0"),
        ({"neighbours": 1.5}, "neighbours has to be a whole number from 1 on, got 1.5"),
        ({"chunk": True}, "chunk has to be a whole number from 2 on, got True"),
        ({"reference": 3}, "reference has to be a section from 0 to 2, got 3"),
        ({"reference": -1}, "reference has to be a section from 0 to 2, got -1"),
        ({"canvas": "all"}, "canvas has to be one of union, reference, got 'all'"),
        ({"interpolation": "nearest"}, "interpolation of the sections has to be cubic or lanczos, got 'nearest'"),
    ],
)
def test_settings_out_of_range(three: Path, tmp_path: Path, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        alignment(three, tmp_path, **settings)


def test_sections_of_one_name(tmp_path: Path, section: np.ndarray) -> None:
    write_folder(tmp_path / "in", {"a.png": section, "a.tif": section})
    with pytest.raises(ValueError, match=r"a\.tif and .*a\.png would both be written as a$"):
        alignment(tmp_path / "in", tmp_path / "out")


def labels(index: int) -> np.ndarray:
    """Numbered discs all over a section."""
    x, y = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = np.hypot(x % 40 - 20, y % 40 - 20) < 13
    return np.where(disc, 1 + x // 40 + 10 * (y // 40) + 1000 * index, 0).astype(np.uint16)


def test_labels_come_back_from_the_aligned_stack(aligned: Path, tmp_path: Path) -> None:
    indices = (0, REFERENCE, FOLDED)
    source = write_folder(tmp_path / "in", {f"section_{i}_mitochondria.tif": labels(i) for i in indices})
    carry(source, aligned / "transformations", tmp_path / "there", direction="to_aligned")
    size = read_section(aligned / "images" / "section_0.tif").shape
    for index in indices:
        there = read_section(tmp_path / "there" / f"section_{index}_mitochondria.tif")
        assert there.shape == size
        assert there.dtype == np.uint16
        assert set(np.unique(there)) <= set(np.unique(labels(index)))
    carry(tmp_path / "there", aligned / "transformations", tmp_path / "back")
    for index in indices:
        original, back = labels(index), read_section(tmp_path / "back" / f"section_{index}_mitochondria.tif")
        assert back.shape == SIZE
        assert back.dtype == np.uint16
        hidden = loaded(aligned, f"section_{index}").fold
        hidden = np.zeros(SIZE, bool) if hidden is None else hidden
        assert not back[hidden].any()
        rim = np.zeros(SIZE, bool)
        for axis in (0, 1):
            rim |= np.roll(original, 1, axis) != original
        rim = binary_dilation(rim | hidden, iterations=2)
        rim[[0, -1]] = rim[:, [0, -1]] = True
        differs = back != original
        if index == FOLDED:  # sides of the fold may overlap in the aligned stack
            assert differs[~rim].mean() < 0.01
        else:
            assert not differs[~rim].any()
        assert back.any()


def test_labels_lie_in_the_aligned_stack_where_their_tissue_does(aligned: Path, tmp_path: Path) -> None:
    """Tissue known in the frame of the reference is labelled in a section; both have to meet there."""
    deformation = imaged(0)[1]
    x, y = np.mgrid[: SIZE[0], : SIZE[1]] + deformation.displacement
    disc = np.hypot(x - 130, y - 90) < 30
    write_section(tmp_path / "in" / "section_0.png", np.where(disc, np.uint8(255), np.uint8(0)))
    carry(tmp_path / "in", aligned / "transformations", tmp_path / "out", direction="to_aligned")
    found = read_section(tmp_path / "out" / "section_0.png")
    middle = loaded(aligned, f"section_{REFERENCE}").forward(np.array([[130.0, 90.0]]))[0]
    np.testing.assert_allclose(np.argwhere(found).mean(axis=0), middle, atol=0.7)
    assert np.count_nonzero(found) == pytest.approx(np.pi * 30**2, rel=0.03)


def test_changed_fold_masks_are_noticed(three: Path, tmp_path: Path) -> None:
    folds = tmp_path / "folds"
    write_section(folds / "section_1.png", np.zeros(SIZE, np.uint8))
    alignment(three, tmp_path / "out", folds_dir=folds).check()
    os.utime(folds / "section_1.png", (0, 0))
    with pytest.raises(FileExistsError, match="what differs: folds_dir"):
        alignment(three, tmp_path / "out", folds_dir=folds).check()
    write_section(folds / "section_1.png", np.full(SIZE, 7, np.uint8))
    with pytest.raises(ValueError, match=r"section_1\.png: label values run from 7 to 7"):
        alignment(three, tmp_path / "out", folds_dir=folds, overwrite=True).check()


def test_results_for_the_pages_of_a_stack_are_carried(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for page in range(2):
        Transformation.affine((9, 8), np.array([[1.0, 0, page], [0, 1, 0]])).save(tmp_path / f"t/s_{page}.npz", (10, 8))
    pixels = np.arange(160, dtype=np.uint8).reshape(10, 8, 2)
    write_section(tmp_path / "masks" / "s_mitochondria.tif", pixels)
    carry(tmp_path / "masks", tmp_path / "t", tmp_path / "out")
    for page in range(2):
        carried = read_section(tmp_path / "out" / f"s_mitochondria_{page}.tif")
        np.testing.assert_array_equal(carried, pixels[page : 9 + page, :, page])


def test_damaged_transformation_is_named(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.npz").write_bytes(b"nothing")
    write_section(tmp_path / "in" / "a.png", np.zeros((9, 8), np.uint8))
    with pytest.raises(ValueError, match=r"a\.npz: is no transformation, or damaged"):
        carry(tmp_path / "in", tmp_path / "t", tmp_path / "out")


def test_no_sections() -> None:
    with pytest.raises(ValueError, match="no sections to align"):
        StackAlignment([], "out", registration())


def test_pixels_without_source_keep_the_histogram(three: Path, aligned_three: Path, tmp_path: Path) -> None:
    alignment(three, tmp_path, fill="drawn").check()
    alignment(three, tmp_path, fill="drawn").run()
    for file in sorted((tmp_path / "images").iterdir()):
        drawn, black = read_section(file), read_section(aligned_three / "images" / file.name)
        valid = read_section(tmp_path / "valid" / f"{file.stem}.png") > 0
        np.testing.assert_array_equal(drawn[valid], black[valid])
        assert not black[~valid].any()
        if not valid.all():
            assert np.median(drawn[~valid]) == pytest.approx(np.median(drawn[valid]), abs=6)
            assert drawn[~valid].std() == pytest.approx(drawn[valid].std(), rel=0.2)
        # pictures show it black all the same
        pictures = [folder / "pictures" / f"{file.stem}.png" for folder in (tmp_path, aligned_three)]
        assert pictures[0].read_bytes() == pictures[1].read_bytes()
    with pytest.raises(ValueError, match="fill has to be one of black, drawn, got 'white'"):
        alignment(three, tmp_path, fill="white")


def test_a_white_margin_does_not_flatten_the_tissue() -> None:
    section = tissue(0)
    section = (60 + (section - section.min()) / np.ptp(section) * 90).astype(np.uint8)
    alone = _eight_bit(section, 1)
    image = np.full((2 * section.shape[0], section.shape[1]), 255, np.uint8)
    image[: section.shape[0]] = section
    stretched = _eight_bit(image, 1)[: section.shape[0]]
    assert np.abs(stretched.astype(int) - alone).max() <= 8
