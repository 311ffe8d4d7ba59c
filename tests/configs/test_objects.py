from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from roifile import roiread
from tubes import FILES, NM, cause, rows, tubes, write

from scripts.io import find_sections, write_section
from scripts.objects.outputs import write_instances


def test_every_file(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", tubes())
    out = analysed(**NM)
    assert {file.name for file in out.iterdir()} == FILES | {"masks_instances.tif"}
    through, inner = rows(out / "mitochondria.csv")
    area = np.count_nonzero(tubes()[0]) * 0.005**2
    assert float(through["volume_um3"]) == pytest.approx(4 * area * 0.05, rel=1e-5)
    assert float(inner["volume_um3"]) == pytest.approx(2 * area * 0.05, rel=1e-5)
    assert (through["cut_by_ends"], inner["cut_by_ends"]) == ("1", "0")
    assert (inner["first_section"], inner["last_section"], inner["sections"]) == ("1", "2", "2")
    profiles = rows(out / "profiles.csv")
    assert [row["section"] for row in profiles] == ["0", "1", "1", "2", "2", "3"]
    assert float(profiles[0]["centroid_x_um"]) == pytest.approx(85.5 * 0.005, rel=1e-3)
    assert float(profiles[1]["nearest_neighbour_um"]) == pytest.approx(55 * 0.005, rel=1e-3)
    assert profiles[0]["mean_grey"] == ""
    columns = (out / "columns.md").read_text()
    assert all(f"`{name}`" in columns for name in (*through, *profiles[0]))
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["objects"], summary["whole_objects"], summary["counted_objects"]) == (2, 1, 1)
    volume = 119 * 89 * 0.005**2 * 3 * 0.05
    assert summary["object_density_per_um3"] == pytest.approx(1 / volume)
    assert summary["volume_fraction"] == pytest.approx(np.mean(tubes()))


def test_instances_open_in_fiji(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", tubes())
    out = analysed(**NM)
    with tifffile.TiffFile(out / "masks_instances.tif") as tiff:
        assert tiff.is_imagej
        assert tiff.imagej_metadata["unit"] == "um"
        assert tiff.imagej_metadata["spacing"] == 0.05
        assert tiff.pages[0].tags["XResolution"].value == (200, 1)
        stack = tiff.asarray()
    assert stack.dtype == np.uint16
    np.testing.assert_array_equal(stack > 0, np.stack([mask.T for mask in tubes()]))
    assert np.unique(stack[:, 40, 85]).tolist() == [1]
    rois = {roi.name: roi for roi in roiread(out / "rois.zip")}
    assert set(rois) == {
        f"{number:05d}-{page:04d}" for number, page in ((1, 1), (1, 2), (1, 3), (1, 4), (2, 2), (2, 3))
    }
    roi = rois["00002-0002"]
    assert roi.position == 2
    assert roi.coordinates().mean(axis=0) == pytest.approx((30.5, 40.5), abs=0.7)


def test_more_than_65535_objects(tmp_path: Path) -> None:
    """16 bits while they fit, else 32, in a plain TIFF, since ImageJ's own knows no such pixels."""
    labels = np.arange(300 * 250).reshape(300, 250)
    for highest, dtype in ((65535, np.uint16), (65536, np.uint32)):
        section = np.minimum(labels, highest)
        path = tmp_path / f"{highest}.tif"
        write_instances(path, iter([section, section]), (2, 300, 250), highest, (5, 8), 50)
        with tifffile.TiffFile(path) as tiff:
            stack = tiff.asarray()
            assert tiff.is_imagej == (dtype is np.uint16)
            assert tiff.pages[0].tags["YResolution"].value == ((125, 1) if tiff.is_imagej else (1250000, 1))
        assert stack.dtype == dtype
        np.testing.assert_array_equal(stack, np.stack([section, section]))


def test_no_pixel_size(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", tubes())
    out = analysed(section_thickness=50)
    through, inner = rows(out / "mitochondria.csv")
    assert float(inner["largest_area_px2"]) == np.count_nonzero(tubes()[0])
    assert through["volume_px3"] == ""
    summary = json.loads((out / "summary.json").read_text())
    assert summary["object_density_per_um3"] is None
    assert "pixel size is not known" in summary["warnings"][0]


def test_pixel_size_of_a_list(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", tubes())
    items = [{"image": f"s{index}_mitochondria.png"} for index in range(4)]
    (tmp_path / "masks" / "list.json").write_text(json.dumps({"test": items, "pixel_size_nm": 8}))
    out = analysed(dataset_dir=str(tmp_path / "masks" / "list.json"))
    assert float(rows(out / "profiles.csv")[0]["area_um2"]) == pytest.approx(
        np.count_nonzero(tubes()[0]) * 0.008**2, 1e-5
    )


@pytest.mark.parametrize(("other", "fits"), [(8.04, True), (8.4, False)])
def test_pixel_sizes_that_formats_round_off(analysed: Callable, tmp_path: Path, other: float, fits: bool) -> None:
    write(tmp_path / "masks", tubes())
    items = [{"image": f"s{index}_mitochondria.png", "pixel_size_nm": other if index else 8} for index in range(4)]
    (tmp_path / "masks" / "list.json").write_text(json.dumps({"test": items}))
    given = {"dataset_dir": str(tmp_path / "masks" / "list.json")}
    if fits:
        area = float(rows(analysed(**given) / "profiles.csv")[0]["area_um2"])
        assert area == pytest.approx(np.count_nonzero(tubes()[0]) * 0.008**2, 1e-5)
    else:
        assert "one pixel size" in str(cause(analysed, **given))


def test_grey_levels_and_tissue(analysed: Callable, tmp_path: Path) -> None:
    masks = tubes()
    write(tmp_path / "masks", masks)
    for index, mask in enumerate(masks):
        write_section(tmp_path / "aligned" / "images" / f"s{index}.tif", np.where(mask, 60, 180).astype(np.uint8))
        valid = np.full(mask.shape, 255, np.uint8)
        valid[:20] = 0  # the left end of the inner tube is cut
        write_section(tmp_path / "aligned" / "valid" / f"s{index}.png", valid, result=True)
    out = analysed(sections_dir=str(tmp_path / "aligned" / "images"), **NM)
    assert {row["mean_grey"] for row in rows(out / "profiles.csv")} == {"60"}
    assert [row["cut_by_border"] for row in rows(out / "mitochondria.csv")] == ["0", "1"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["volume_fraction"] == pytest.approx(np.sum(masks) / (4 * 100 * 90))


def test_probabilities(analysed: Callable, tmp_path: Path) -> None:
    for index, mask in enumerate(tubes()):
        write_section(tmp_path / "masks" / f"s{index}_probability.tif", np.where(mask, 0.75, 0.25).astype(np.float32))
        write_section(tmp_path / "masks" / f"s{index}_mitochondria.png", np.zeros(mask.shape, np.uint8))
    out = analysed(**NM)
    assert [float(row["score"]) for row in rows(out / "mitochondria.csv")] == [0.75, 0.75]
    out = analysed(**NM, threshold=0.8, output_dir=str(tmp_path / "strict"))
    assert rows(out / "mitochondria.csv") == []


def test_instances_of_anyone(analysed: Callable, tmp_path: Path) -> None:
    """Numbers tell objects apart that touch, whatever their shape."""
    for index in range(2):
        labels = np.zeros((60, 50), np.uint16)
        labels[10:30, 10:30], labels[30:50, 10:30] = 700, 5
        write_section(tmp_path / "masks" / f"s{index}.png", labels)
    out = analysed(label_format="instances", **NM)
    assert len(rows(out / "mitochondria.csv")) == 2
    assert "label_format" in str(cause(analysed, label_format="numbers"))


@pytest.mark.parametrize("case", ["no objects", "one section", "all foreground", "one empty"])
def test_what_users_have(analysed: Callable, tmp_path: Path, case: str) -> None:
    masks = {
        "no objects": [np.zeros((60, 50), bool)] * 3,
        "one section": tubes()[1:2],
        "all foreground": [np.ones((60, 50), bool)] * 3,
        "one empty": [tubes()[0], 0 * tubes()[0], tubes()[0]],
    }[case]
    write(tmp_path / "masks", masks)
    out = analysed(**NM)
    assert {file.name for file in out.iterdir()} == FILES | {"masks_instances.tif"}
    count = {"no objects": 0, "one section": 2, "all foreground": 1, "one empty": 1}[case]
    assert len(rows(out / "mitochondria.csv")) == count
    summary = json.loads((out / "summary.json").read_text())
    assert summary["objects"] == count
    warnings = " ".join(summary["warnings"])
    expected = {
        "no objects": "No mitochondria in section 0, 1, 2",
        "one section": "Only 0 objects are seen whole",
        "all foreground": "Nearly all of section 0, 1, 2",
        "one empty": "No mitochondria in section 1",
    }
    assert expected[case] in warnings


def test_missing_sections(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", tubes())
    out = analysed(**NM, missing_sections=[2])
    through, inner = rows(out / "mitochondria.csv")
    assert (through["last_section"], inner["last_section"]) == ("4", "3")
    assert float(through["volume_um3"]) == pytest.approx(5 * np.count_nonzero(tubes()[0]) * 0.005**2 * 0.05, rel=1e-5)
    assert through["branch_points"] == "0"
    assert float(through["length_um"]) == pytest.approx(0.25, rel=0.2)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["missing_sections"] == [2]
    assert any("missing: 2" in warning for warning in summary["warnings"])


def test_sections_of_different_size(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", [np.zeros((60, 50), bool), np.zeros((60, 51), bool)])
    message = str(cause(analysed, **NM))
    assert "s1_mitochondria.png" in message
    assert "60x51" in message
    assert not (tmp_path / "out").exists()


def test_a_section_is_missing_beside_the_masks(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", tubes())
    write_section(tmp_path / "images" / "s0.png", np.ones((120, 90), np.uint8))
    assert "s1_mitochondria.png" in str(cause(analysed, sections_dir=str(tmp_path / "images")))


def test_continuity(analysed: Callable, tmp_path: Path) -> None:
    """A hole in one section is filled by its neighbours, and what one section alone shows is left out."""
    masks = [mask.copy() for mask in tubes(5)]
    scores = [np.where(mask, 0.9, 0.1).astype(np.float32) for mask in masks]
    scores[2][75:96, 30:51] = 0.3  # the tube through all is faint here
    scores[2][100:118, 60:78] = 0.9  # and this is seen here alone
    for index, score in enumerate(scores):
        write_section(tmp_path / "masks" / f"s{index}_probability.tif", score)
    plain = rows(analysed(**NM, threshold=0.5, max_gap=0) / "mitochondria.csv")
    assert len(plain) == 4
    settings = {"threshold": 0.5, "max_gap": 0, "smoothing": 0.25, "require_support": True}
    smooth = rows(analysed(**NM, **settings, output_dir=str(tmp_path / "smooth")) / "mitochondria.csv")
    assert [row["sections"] for row in smooth] == ["5", "3"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("neck", 2.0), ("min_area", 0), ("smoothing", 0.5), ("section_thickness", 0), ("threshold", 1.0), ("guard", 60),
     ("min_iou", 0.0), ("missing_sections", [-1]), ("pixel_size", 5000)],
)  # fmt: skip
def test_settings_out_of_range(analysed: Callable, tmp_path: Path, name: str, value: object) -> None:
    write(tmp_path / "masks", tubes())
    assert name in str(cause(analysed, **{name: value}))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("many", [False, True])
def test_instances_are_marked_as_a_result(tmp_path: Path, many: bool) -> None:
    section = np.zeros((40, 50), np.int64)
    write_instances(tmp_path / "a.tif", iter([section]), (1, 40, 50), 70000 if many else 2, None, None)
    with pytest.raises(FileNotFoundError, match="no sections found"):
        find_sections(tmp_path, results=False)


def test_names_that_are_no_utf8_and_a_chosen_channel(analysed: Callable, tmp_path: Path) -> None:
    name = os.fsdecode(b"s\xe9")
    (mask,) = tubes(1)
    write_section(tmp_path / "masks" / f"{name}_mitochondria.png", (255 * mask).astype(np.uint8))
    grey = np.where(mask, 60, 180).astype(np.uint8).T
    (tmp_path / "sections").mkdir()
    with open(tmp_path / "sections" / f"{name}.tif", "wb") as file:
        tifffile.imwrite(file, np.stack([255 - grey, grey]), imagej=True, metadata={"axes": "CYX"})
    wrong = cause(analysed, sections_dir=str(tmp_path / "sections"), **NM)
    assert "has 2 channels" in str(wrong)
    out = analysed(sections_dir=str(tmp_path / "sections"), channel=1, **NM)
    profiles = rows(out / "profiles.csv")
    assert {row["file"] for row in profiles} == {r"s\udce9_mitochondria.png"}
    assert [float(row["mean_grey"]) for row in profiles] == [60.0] * len(profiles)


def test_a_mask_of_another_name_is_not_taken_for_that_of_a_section(analysed: Callable, tmp_path: Path) -> None:
    write(tmp_path / "masks", tubes(1))
    write_section(tmp_path / "sections" / "other.png", np.full((120, 90), 100, np.uint8))
    error = cause(analysed, **NM, sections_dir=str(tmp_path / "sections"))
    assert isinstance(error, FileNotFoundError)
    assert "s0_mitochondria.png" in str(error)
