"""Alignment of stacks whose deformations are known."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import binary_dilation, zoom
from stacks import COUNT, FOLDED, align, alignment, assert_same_results, errors, loaded, registration, write_folder
from textures import REFERENCE, SIZE, imaged, pixels, truth

from scripts.io import find_sections, read_header, read_section, write_section
from scripts.registration import Transformation, warp_inverse
from scripts.stack import StackAlignment
from scripts.stack.store import RESULTS

pytestmark = pytest.mark.slow

LARGE = (420, 400)


def correlation(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    return float(np.corrcoef(first[where], second[where])[0, 1])


def test_each_section_has_all_its_results(folder: Path, aligned: Path) -> None:
    names = [f"section_{i}" for i in range(COUNT)]
    for key, suffix in RESULTS.items():
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
        assert entry["uncovered_fraction"] == pytest.approx((valid == 0).mean(), abs=1e-3)
        assert Transformation.load_sizes(aligned / "transformations" / f"{name}.npz") == (SIZE, size)


def test_two_sections_at_once(folder: Path, aligned: Path, tmp_path: Path) -> None:
    align(folder, tmp_path, registration(detect_folds=True), num_workers=2)
    assert_same_results(tmp_path, aligned)


def test_aligned_sections_state_the_size_that_a_list_states(three: Path, aligned_three: Path, tmp_path: Path) -> None:
    """Files that say otherwise are not believed; a size that is corrected later corrects what was written."""
    images = []
    for file in sorted(three.iterdir()):
        images.append({"image": f"{file.stem}.tif", "pixel_size_nm": 4})
        wrong = {"resolution": (1e7 / 8, 1e7 / 8), "resolutionunit": 3}
        tifffile.imwrite(tmp_path / images[-1]["image"], read_section(file).T, **wrong)
    for size in (4, 4.6):
        (tmp_path / "list.json").write_text(json.dumps({"test": [{**item, "pixel_size_nm": size} for item in images]}))
        align(tmp_path / "list.json", tmp_path / "out")
        sections = find_sections(tmp_path / "out" / "images")
        assert [section.pixel_size_nm for section in sections] == [pytest.approx((size, size), rel=1e-4)] * 3
        for section in sections:
            assert section.valid == str(tmp_path / "out" / "valid" / f"{Path(section.path).stem}.png")
            np.testing.assert_array_equal(
                read_section(section), read_section(aligned_three / "images" / Path(section.path).name)
            )


@pytest.mark.parametrize("output_format", ["tif", "zarr"])
def test_all_sections_state_the_size_of_the_reference(three: Path, tmp_path: Path, output_format: str) -> None:
    """The first section has smaller pixels, but is warped into those of the reference."""
    listed = []
    for file, size in zip(sorted(three.iterdir()), (4.0, 5.0, 5.0), strict=True):
        pixels = read_section(file)
        if size < 5:
            pixels = zoom(pixels, 5 / size, order=1)
        write_section(tmp_path / file.name, pixels)
        listed.append({"image": file.name, "pixel_size_nm": size})
    (tmp_path / "list.json").write_text(json.dumps({"test": listed}))
    align(find_sections(tmp_path / "list.json"), tmp_path / "out", output_format=output_format, reference=1)
    sections = find_sections(tmp_path / "out" / "sections.json")
    assert [section.pixel_size_nm for section in sections] == [pytest.approx((5, 5), rel=1e-4)] * 3


def test_a_volume(three: Path, aligned_three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pixels, and a run that was killed while sections were warped goes on."""
    monkeypatch.setattr("scripts.stack.results.qc_panel", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        align(three, tmp_path, output_format="zarr")
    with pytest.raises(ValueError, match="is not complete"):
        find_sections(tmp_path / "images.zarr")
    monkeypatch.undo()
    align(three, tmp_path, output_format="zarr", num_workers=2)
    sections = find_sections(tmp_path / "images.zarr")
    assert len(sections) == 3
    for page, name in enumerate(("section_1", "section_2", "section_3")):
        assert sections[page].valid == str(tmp_path / "valid.zarr")
        for volume, file in (("images.zarr", f"images/{name}.tif"), ("valid.zarr", f"valid/{name}.png")):
            np.testing.assert_array_equal(read_section(tmp_path / volume, page), read_section(aligned_three / file))
        assert (tmp_path / "qc" / f"{name}.png").read_bytes() == (aligned_three / "qc" / f"{name}.png").read_bytes()
    with pytest.raises(FileExistsError, match="what differs: output_format"):
        align(three, tmp_path)
    align(three, tmp_path, overwrite=True)
    assert not (tmp_path / "images.zarr").exists()


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
        assert entry["folded_cells"] == 0
    assert report[FOLDED]["fold_fraction"] > 0.02
    assert all(entry.get("fold_fraction", 0) == 0 for entry in report[:FOLDED])


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
    # the tissue on the two sides was pulled together, so it is moved apart in different directions
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
        _, valid = warp_inverse(everywhere, transformation)
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
    coarse = registration(patch_size=24, patch_step=8, search_radii=(8, 4))
    report = align(three, tmp_path, coarse, registration_size=128, canvas="reference")
    assert report["registration_scale"] == "1/2"
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
        _, valid = warp_inverse(np.ones(image.shape, np.uint8), loaded(tmp_path / "out", f"section_{index}"))
        assert valid.all()


def test_sections_after_one_of_a_part_are_aligned_where_that_shows_nothing(tmp_path: Path) -> None:
    sections = {f"section_{i}.png": imaged(i, size=LARGE)[0] for i in (2, 3, 4)}
    sections["section_3.png"] = sections["section_3.png"][:180, :200]
    align(write_folder(tmp_path / "in", sections), tmp_path / "out", reference=0)
    error = errors(tmp_path / "out", "section_4", "section_2", *truth(4, size=LARGE, whole=LARGE))
    assert np.median(error) < 0.7
    assert error.max() < 4


def test_a_frame_under_the_fold_mask(three: Path, tmp_path: Path) -> None:
    """What is marked along the border is left out, and no more."""
    margin = np.full(SIZE, 255, np.uint8)
    margin[8:-10, 8:-10] = 0
    write_folder(tmp_path / "folds", {f"section_{i}.png": margin for i in (1, 2, 3)})
    align(three, tmp_path / "out", fold_masks_dir=tmp_path / "folds")
    for index in (1, 2, 3):
        transformation = loaded(tmp_path / "out", f"section_{index}")
        seen = transformation.forward(pixels(SIZE)[~transformation.fold].reshape(-1, 2))
        size = read_section(tmp_path / "out" / "images" / f"section_{index}.tif").shape
        assert seen.min() > -0.5
        assert (seen.max(axis=0) < np.array(size) - 0.5).all()
        assert np.nanmedian(errors(tmp_path / "out", f"section_{index}", "section_2", *truth(index))) < 0.7


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
        ({"registration_size": 63}, "registration_size must be a whole number from 64 on, but got 63"),
        ({"neighbours": 0}, "neighbours must be a whole number from 1 on, but got 0"),
        ({"neighbours": 1.5}, "neighbours must be a whole number from 1 on, but got 1.5"),
        ({"drift_window": True}, "drift_window must be a whole number from 2 on, but got True"),
        ({"reference": 3}, "reference must be a section from 0 to 2, but got 3"),
        ({"reference": -1}, "reference must be a section from 0 to 2, but got -1"),
        ({"canvas": "all"}, "canvas must be one of union, reference, but got 'all'"),
        ({"interpolation": "nearest"}, "interpolation must be one of cubic, lanczos, but got 'nearest'"),
    ],
)
def test_settings_out_of_range(three: Path, tmp_path: Path, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        alignment(three, tmp_path, **settings)


def test_sections_of_one_name(tmp_path: Path, section: np.ndarray) -> None:
    write_folder(tmp_path / "in", {"a.png": section, "a.tif": section})
    with pytest.raises(ValueError, match=r"a\.tif and .*a\.png would both be written as a$"):
        alignment(tmp_path / "in", tmp_path / "out")


def test_no_sections() -> None:
    with pytest.raises(ValueError, match="out: there must be sections to align"):
        StackAlignment([], "out", registration())


def test_pixels_without_source_keep_the_histogram(three: Path, aligned_three: Path, tmp_path: Path) -> None:
    alignment(three, tmp_path, fill="noise").check()
    alignment(three, tmp_path, fill="noise").run()
    for file in sorted((tmp_path / "images").iterdir()):
        noisy, black = read_section(file), read_section(aligned_three / "images" / file.name)
        valid = read_section(tmp_path / "valid" / f"{file.stem}.png") > 0
        np.testing.assert_array_equal(noisy[valid], black[valid])
        assert not black[~valid].any()
        if not valid.all():
            assert np.median(noisy[~valid]) == pytest.approx(np.median(noisy[valid]), abs=6)
            assert noisy[~valid].std() == pytest.approx(noisy[valid].std(), rel=0.2)
        # qc show it black all the same
        qc = [folder / "qc" / f"{file.stem}.png" for folder in (tmp_path, aligned_three)]
        assert qc[0].read_bytes() == qc[1].read_bytes()
    with pytest.raises(ValueError, match="fill must be one of black, noise, but got 'white'"):
        alignment(three, tmp_path, fill="white")


@pytest.mark.parametrize("output_format", ["tif", "zarr"])
def test_the_order_of_the_chain_is_kept(three: Path, tmp_path: Path, output_format: str) -> None:
    """Sections of two days, whose names alone say nothing of their order."""
    files = sorted(three.iterdir())
    listed = []
    for name, file in zip(("day1/s8", "day1/s9", "day2/s1"), files, strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(file, (tmp_path / name).with_suffix(file.suffix))
        listed.append(f"{name}{file.suffix}")
    (tmp_path / "list.json").write_text(json.dumps({"test": listed}))
    align(find_sections(tmp_path / "list.json"), tmp_path / "out", output_format=output_format)
    found = find_sections(tmp_path / "out" / "sections.json")
    assert len(found) == 3
    if output_format == "tif":
        assert [Path(section.path).stem for section in found] == ["s8", "s9", "s1"]
        assert [Path(section.path).stem for section in find_sections(tmp_path / "out" / "images")] == ["s8", "s9", "s1"]
    else:
        listed = json.loads((tmp_path / "out" / "sections.json").read_text())
        assert listed["planes"] == {"images.zarr": ["s8", "s9", "s1"]}
