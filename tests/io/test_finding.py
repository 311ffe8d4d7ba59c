"""What is taken for a section, and what is not."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.figures import save_picture
from scripts.io import check_sections, find_sections, read_section, result_path, unfinished_sections, write_section
from scripts.transforms import LoadSectiond, SaveSectiond

RESULTS = {"mask": "uint8"}


def names(source: object, **options: object) -> list[str]:
    return [os.path.basename(section.path) for section in find_sections(source, **options)]


def test_names_with_numbers_that_are_none(tmp_path: Path, section: np.ndarray) -> None:
    expected = ["a½.png", "a9.png", "a10.png", "a٣.png", "5²3.png", "5.png", "x²10.png", "x²9.png", "Ⅳ.png", "①.png"]
    for name in expected:
        write_section(tmp_path / name, section)
    found = names(tmp_path)
    assert sorted(found) == sorted(expected)
    assert found.index("a9.png") < found.index("a10.png")
    assert found.index("x²9.png") < found.index("x²10.png")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".nii", ".nii.gz", ".jpg"])
def test_a_name_that_is_no_utf8(tmp_path: Path, section: np.ndarray, suffix: str) -> None:
    name = os.fsdecode(b"section\xe4\xff") + suffix
    pixels = np.full_like(section, 80) if suffix == ".jpg" else section
    if suffix == ".jpg":
        with open(tmp_path / name, "wb") as file:
            Image.fromarray(pixels.T).save(file, format="jpeg", quality=100)
    else:
        write_section(tmp_path / name, pixels)
    (item,) = find_sections(tmp_path)
    np.testing.assert_array_equal(read_section(item), pixels)
    SaveSectiond("image", tmp_path / "out", "mask")(LoadSectiond("image")(item))
    np.testing.assert_array_equal(read_section(result_path(item.path, tmp_path / "out", "mask")), pixels)


def test_a_name_that_is_no_utf8_in_a_format_that_needs_it(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "a.nrrd", section)
    os.rename(os.fsencode(tmp_path / "a.nrrd"), os.fsencode(tmp_path) + b"/\xe4.nrrd")
    with pytest.raises(ValueError, match=r"\.nrrd: cannot be read"):
        find_sections(tmp_path)


def test_links_to_nowhere_are_named(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "there.png", section)
    (tmp_path / "a.png").symlink_to("there.png")
    assert names(tmp_path) == ["a.png", "there.png"]
    (tmp_path / "b.png").symlink_to("/not/mounted/b.png")
    for source in (tmp_path, tmp_path / "b.png", f"{tmp_path}/*.png", [tmp_path / "b.png"]):
        with pytest.raises(FileNotFoundError, match=r"b\.png: is a link to /not/mounted/b\.png"):
            find_sections(source)


def test_folders_and_notes_are_no_sections(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "a.png", section)
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / ".hidden.png").symlink_to("/nowhere")
    (tmp_path / "note.txt").symlink_to("/nowhere")
    assert names(tmp_path) == ["a.png"]
    assert names(f"{tmp_path}/*[gf]") == ["a.png"]


@pytest.mark.parametrize("entry", ["b.tif", "./b.tif", "../in/b.tif", {"image": "./b.tif"}])
@pytest.mark.parametrize("part", ["test", "training", "validation", "imagesTs"])
def test_bare_names_in_a_list(tmp_path: Path, section: np.ndarray, entry: object, part: str) -> None:
    folder = tmp_path / "in"
    for name in ("a.tif", "b.tif"):
        write_section(folder / name, section)
    content = {"modality": {"0": "EM"}, "authors": ["A", "B"], "all": [{"image": "a.tif"}], part: [entry, entry]}
    (folder / "d.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())  # as Notepad writes it
    assert names(folder / "d.json") == ["a.tif", "b.tif"]


@pytest.mark.parametrize("entry", [7, None, {"picture": "a.tif"}, {"image": 7}, ["a.tif"]])
def test_entries_of_a_list_that_name_nothing(tmp_path: Path, section: np.ndarray, entry: object) -> None:
    write_section(tmp_path / "a.tif", section)
    (tmp_path / "d.json").write_text(json.dumps({"test": ["a.tif", entry]}))
    with pytest.raises(ValueError, match=r"d\.json: test\[1\] must be"):
        find_sections(tmp_path / "d.json")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("pages", [1, 2])
def test_results_are_no_sections(
    tmp_path: Path, section: np.ndarray, suffix: str, pages: int, caplog: pytest.LogCaptureFixture
) -> None:
    if suffix == ".png" and pages > 1:
        pytest.skip("a PNG is one picture")
    write_section(tmp_path / f"a{suffix}", section if pages == 1 else np.stack([section] * pages, axis=-1))
    pattern = f"{tmp_path}/**/*{suffix}"
    for number in range(2):
        sections = find_sections(pattern, results=False)
        assert [s.path for s in sections] == [str(tmp_path / f"a{suffix}")] * pages
        save = SaveSectiond("image", tmp_path / f"out{number}", "mask")
        for item in sections:
            save(LoadSectiond("image")(item))
    assert f"a_mask{suffix}" in caplog.text
    assert len(find_sections(pattern)) == 3 * pages  # what is to be warped, for instance
    with pytest.raises(FileNotFoundError, match=r"no sections found.*results of this bundle"):
        find_sections(tmp_path / "out0", results=False)
    # a copy of a result, and what is made of one, are results
    moved = tmp_path / f"moved{suffix}"
    write_section(moved, section, like=tmp_path / "out0" / f"a_mask{suffix}")
    with pytest.raises(FileNotFoundError, match="no sections found"):
        find_sections(moved, results=False)


def test_a_scan_described_by_another_file_is_listed_once(tmp_path: Path) -> None:
    for name in ("a.emi", "a_1.ser", "b_1.ser"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.emi: cannot be read"):
        find_sections(tmp_path)
    (tmp_path / "a.emi").unlink()
    with pytest.raises(ValueError, match=r"a_1\.ser: cannot be read"):
        find_sections(tmp_path)


def test_a_constant_section_is_left_out(tmp_path: Path, section: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    for name, pixels in (("a", section), ("b", np.full_like(section, 7)), ("c", section)):
        write_section(tmp_path / f"{name}.png", pixels)
    sections = find_sections(tmp_path)
    with pytest.raises(ValueError, match=r"b\.png: is a constant image"):
        check_sections(sections)
    check_sections(sections, leave_out_constant=True)
    assert [os.path.basename(s.path) for s in sections] == ["a.png", "c.png"]
    assert "b.png: is a constant image, all its pixels are 7" in caplog.text
    with pytest.raises(ValueError, match=r"b\.png: is a constant image.*no section is left"):
        check_sections(find_sections(tmp_path / "b.png"), leave_out_constant=True)


def test_a_blank_section_is_left_out(tmp_path: Path, section: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    section = np.tile(section, (3, 2))
    blank = np.full_like(section, 128)
    blank[0, 0] = 77
    write_section(tmp_path / "a.png", section)
    write_section(tmp_path / "b.png", blank)
    write_section(tmp_path / "c.tif", np.stack([section, blank], axis=-1))
    with pytest.raises(ValueError, match=r"b\.png: is a blank image, nearly all its pixels are 128; leave it out"):
        check_sections(find_sections(tmp_path / "b.png"))
    sections = find_sections(tmp_path)
    check_sections(sections, leave_out_constant=True)
    assert [os.path.basename(s.path) for s in sections] == ["a.png", "c.tif", "c.tif"]
    assert "b.png: is a blank image, nearly all its pixels are 128; it is left out, and has no result" in caplog.text
    assert "c.tif, page 1: is a blank image, nearly all its pixels are 128; nothing is found in it" in caplog.text
    check_sections(find_sections(tmp_path / "b.png"), allow_constant=True)


def test_a_constant_page_stays_in_its_stack(
    tmp_path: Path, section: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    write_section(tmp_path / "a.tif", np.stack([section, np.full_like(section, 7)], axis=-1))
    sections = find_sections(tmp_path)
    check_sections(sections, leave_out_constant=True)
    assert [s.page for s in sections] == [0, 1]
    assert "a.tif, page 1: is a constant image" in caplog.text


@pytest.mark.parametrize("suffix", [".tif", ".nii.gz", ".nrrd"])
def test_an_interrupted_stack_goes_on(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stack = np.random.default_rng(0).integers(0, 255, (30, 40, 6), np.uint8)
    write_section(tmp_path / f"a{suffix}", stack)
    sections, output = find_sections(tmp_path), tmp_path / "out"
    for done in (2, 5):
        left = unfinished_sections(sections, output, RESULTS, overwrite=False)
        save = SaveSectiond("image", output, "mask")
        for section in left[: done - (6 - len(left))]:
            save(LoadSectiond("image")(section))
        assert not (output / f"a_mask{suffix}").exists()
    left = unfinished_sections(sections, output, RESULTS, overwrite=False)
    assert [section.page for section in left] == [5]
    assert "5 of its pages were segmented before" in caplog.text
    SaveSectiond("image", output, "mask")(LoadSectiond("image")(left[0]))
    assert os.listdir(output) == [f"a_mask{suffix}"]
    for page in range(6):
        np.testing.assert_array_equal(read_section(output / f"a_mask{suffix}", page), stack[..., page])
    assert unfinished_sections(sections, output, RESULTS, overwrite=False) == []


def test_two_results_of_a_stack_go_on_from_what_both_have(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    write_section(tmp_path / "a.tif", stack)
    sections, output = find_sections(tmp_path), tmp_path / "out"
    both = {"mask": "uint8", "score": "float32"}
    mask, score = SaveSectiond("image", output, "mask"), SaveSectiond("image", output, "score", "float32")
    items = [LoadSectiond("image")(section) for section in sections]
    for item in items:
        mask(item)
    score(items[0])
    assert [s.page for s in unfinished_sections(sections, output, both, overwrite=False)] == [1, 2]


@pytest.mark.parametrize("change", ["nothing", "the stack", "the settings"])
def test_pages_of_another_stack_or_way_are_not_mixed_in(tmp_path: Path, change: str) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    write_section(tmp_path / "a.tif", stack)
    output, made_by = tmp_path / "out", {"weights": "a", "threshold": 0.5}
    SaveSectiond("image", output, "mask", made_by=made_by)(LoadSectiond("image")(find_sections(tmp_path)[0]))
    if change == "the stack":
        write_section(tmp_path / "a.tif", stack[::-1])
    elif change == "the settings":
        made_by = {**made_by, "threshold": 0.6}
    sections = find_sections(tmp_path)
    overwrite = change != "nothing"
    if overwrite:
        with pytest.raises(FileExistsError, match=r"a\.tif: its pages must be"):
            unfinished_sections(sections, output, RESULTS, overwrite=False, made_by=made_by)
        assert len(list((output / ".a_mask.tif.pages").glob("*.tif"))) == 1
    left = unfinished_sections(sections, output, RESULTS, overwrite=overwrite, made_by=made_by)
    assert [section.page for section in left] == ([0, 1, 2] if overwrite else [1, 2])
    save = SaveSectiond("image", output, "mask", made_by=made_by, overwrite=overwrite)
    for section in left:
        assert not (output / "a_mask.tif").exists()
        save(LoadSectiond("image")(section))
    for section in sections:
        np.testing.assert_array_equal(read_section(output / "a_mask.tif", section.page), read_section(section))
    assert sorted(os.listdir(output)) == [".made_of.jsonl", "a_mask.tif"]


def test_pages_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 100, (30, 40, 3), np.uint8)
    write_section(tmp_path / "a.tif", stack)
    sections, output = find_sections(tmp_path), tmp_path / "out"
    items = [LoadSectiond("image")(section) for section in sections]
    for item in items[:2]:
        SaveSectiond("image", output, "mask")(item)
    assert len(unfinished_sections(sections, output, RESULTS, overwrite=True)) == 3
    save = SaveSectiond("image", output, "mask", scale=2, overwrite=True)
    for item in items[::-1]:
        save(item)
    for page in range(3):
        np.testing.assert_array_equal(read_section(output / "a_mask.tif", page), 2 * stack[..., page])


def test_colours_in_voxels(tmp_path: Path) -> None:
    voxels = np.zeros((8, 8, 1), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"a\.nii: .*grey levels"):
        find_sections(tmp_path)


@pytest.mark.parametrize(
    ("name", "result"),
    [("a.jpg", "a_m.tif"), ("a.mrc", "a_m.tif"), ("a.dm4", "a_m.tif"), ("a.nhdr", "a_m.nrrd"), ("a.TIFF", "a_m.tiff")],
)
def test_results_of_formats_that_are_not_written(name: str, result: str) -> None:
    assert result_path(name, "out", "m") == Path("out") / result


@pytest.mark.parametrize("pattern", ["raw[1]/*.tif", "raw[1]/**/*.tif"])
def test_brackets_in_a_folder_name_that_folder(tmp_path: Path, section: np.ndarray, pattern: str) -> None:
    for name in ("raw[1]", "raw1"):
        write_section(tmp_path / name / "a.tif", section)
    (item,) = find_sections(tmp_path / pattern)
    assert item.path == str(tmp_path / "raw[1]" / "a.tif")


def test_pictures_that_show_results_are_no_sections(tmp_path: Path, section: np.ndarray) -> None:
    save_picture(section, tmp_path / "qc.png")
    with pytest.raises(FileNotFoundError, match="no sections found"):
        find_sections(tmp_path, results=False)


def test_results_do_not_go_beside_links_to_the_sections(tmp_path: Path) -> None:
    write_section(tmp_path / "raw" / "a.png", np.zeros((9, 8), np.uint8))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "raw" / "a.png")
    sections = find_sections(tmp_path / "in")
    for output in ("in", "raw"):
        with pytest.raises(ValueError, match="the output folder holds the section"):
            unfinished_sections(sections, tmp_path / output, RESULTS, overwrite=False)
    assert unfinished_sections(sections, tmp_path / "out", RESULTS, overwrite=False) == sections


def test_list_in_a_linked_folder_names_its_sections_from_where_it_lies(tmp_path: Path, section: np.ndarray) -> None:
    write_section(tmp_path / "microscope" / "raw.png", section)
    lists = tmp_path / "far" / "away" / "lists"
    lists.mkdir(parents=True)
    (lists / "datalist.json").write_text(json.dumps({"training": [{"image": "../../../microscope/raw.png"}]}))
    (tmp_path / "data").symlink_to(lists)
    (found,) = find_sections(tmp_path / "data" / "datalist.json")
    assert Path(found.path) == tmp_path / "microscope" / "raw.png"
