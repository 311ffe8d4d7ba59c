"""Runs that were stopped, repeated, or meet the files of others."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from stacks import COUNT, align, alignment, assert_same_results, registration, write_folder
from textures import REFERENCE, SIZE, imaged

from scripts.io import find_sections, read_section, write_section
from scripts.stack.store import RESULTS, Store

pytestmark = pytest.mark.slow


def test_a_killed_registration_goes_on(folder: Path, aligned: Path, tmp_path: Path, calls: Callable) -> None:
    pair = registration(detect_folds=True)
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
    output, pair = tmp_path / "output", registration(detect_folds=True)
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
    files = [file.relative_to(output) for key in RESULTS for file in (output / key).iterdir()]
    assert len(files) == 2 * len(RESULTS)
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
    results = [file for key in (*RESULTS, "chain/links") for file in (output / key).iterdir()]
    for file in results:
        os.utime(file, (0, 0))
    done = calls()
    align(three, output)
    assert not done
    assert all(file.stat().st_mtime == 0 for file in results)
    assert_same_results(output, aligned_three)


@pytest.mark.parametrize("name", ["images/section_1.tif", "valid/section_2.png", "transformations/section_1.npz"])
def test_a_damaged_result_is_written_again(
    three: Path, aligned_three: Path, tmp_path: Path, name: str, calls: Callable
) -> None:
    output = tmp_path / "output"
    shutil.copytree(aligned_three, output)
    os.truncate(output / name, 100)
    done = calls()
    align(three, output)
    assert not done
    assert_same_results(output, aligned_three)
    assert (output / name).stat().st_size > 100


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"status": "other", "quality": null}'])
def test_a_damaged_link_is_named(tmp_path: Path, content: str) -> None:
    link = tmp_path / "chain" / "links" / "section_1.json"
    link.parent.mkdir(parents=True)
    link.write_text(content)
    with pytest.raises(ValueError, match=r"links/section_1\.json: must be what the registration found for a section"):
        Store(tmp_path).load_report("section_1")


def test_a_volume_that_is_gone_is_written_anew(three: Path, aligned_three: Path, tmp_path: Path) -> None:
    """Also where the run that began with that is stopped."""
    output = tmp_path / "output"
    align(three, output, output_format="zarr")
    shutil.rmtree(output / "images.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scripts.stack.results.qc_panel", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            align(three, output, output_format="zarr")
    align(three, output, output_format="zarr")
    for page in range(3):
        for volume, file in (("images.zarr", "images/section_{}.tif"), ("valid.zarr", "valid/section_{}.png")):
            expected = read_section(aligned_three / file.format(page + 1))
            np.testing.assert_array_equal(read_section(output / volume, page), expected)


@pytest.mark.parametrize(
    ("settings", "differing"),
    [
        ({"neighbours": 1}, "neighbours"),
        ({"canvas": "reference", "drift_window": 20}, "canvas, drift_window"),
        ({"pair": registration(patch_size=48)}, "registration#patch_size"),
        ({"pair": registration(detect_folds=True)}, "registration#fold_detector"),
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
    assert {file.stem for file in (output / "chain" / "links").iterdir()} == {"section_1", "section_2", "section_3"}


def test_overwrite_removes_what_the_run_wrote_and_nothing_else(three: Path, aligned: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    shutil.copytree(aligned, output)
    drawn = [
        output / name for name in ("images/section_1_labels.tif", "valid/mine.png", "qc/notes.png", "images.zarr/x")
    ]
    for file in drawn:
        file.parent.mkdir(exist_ok=True)
        file.write_text("of the user")
    alignment(three, output, overwrite=True).check()
    assert {file for file in output.rglob("*") if file.is_file()} == {*drawn, output / "chain" / "settings.json"}


def test_overwrite_refuses_to_replace_what_the_run_did_not_write(
    three: Path, aligned_three: Path, tmp_path: Path
) -> None:
    """A volume that someone converted from the aligned sections."""
    output = tmp_path / "output"
    shutil.copytree(aligned_three, output)
    (output / "images.zarr").mkdir()
    with pytest.raises(FileExistsError, match=r"images\.zarr: is not of an alignment; choose another --output_dir"):
        alignment(three, output, overwrite=True, output_format="zarr").check()
    assert (output / "images.zarr").is_dir()
    assert_same_results(output, aligned_three)


def test_overwrite_removes_links_and_not_where_they_lead(three: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    alignment(three, output, output_format="zarr").check()
    (tmp_path / "disk" / "images.zarr").mkdir(parents=True)
    (output / "images.zarr").symlink_to(tmp_path / "disk" / "images.zarr")
    (output / "valid.zarr").symlink_to(tmp_path / "nowhere")
    alignment(three, output, output_format="zarr", overwrite=True).check()
    assert [path.name for path in output.iterdir()] == ["chain"]
    assert (tmp_path / "disk" / "images.zarr").is_dir()


def test_nothing_is_removed_for_a_reference_that_cannot_be_one(tmp_path: Path, aligned_three: Path) -> None:
    output = tmp_path / "output"
    shutil.copytree(aligned_three, output)
    folder = write_folder(tmp_path / "in", {"a.png": np.full(SIZE, 9, np.uint8), "b.png": imaged(REFERENCE)[0]})
    with pytest.raises(ValueError, match=r"a\.png: cannot be the reference"):
        alignment(folder, output, reference=0, overwrite=True).check()
    with pytest.raises(ValueError, match=r"b\.png: at least one of the 2 sections must fit another one"):
        alignment(folder, output, overwrite=True).check()
    assert_same_results(output, aligned_three)


def test_a_page_of_a_stack_is_known_again(tmp_path: Path) -> None:
    """Its name has its page, although the other pages are not aligned."""
    write_section(tmp_path / "stack.tif", np.stack([imaged(i)[0] for i in (1, 2, 3)], axis=-1))
    alone = write_folder(tmp_path / "in", {"a.png": imaged(REFERENCE)[0]})
    sections = [find_sections(tmp_path / "stack.tif")[1], *find_sections(alone)]
    expected = align(sections, tmp_path / "out", reference=1)
    assert [row["section"] for row in expected["sections"]] == ["stack_1", "a"]
    assert align(sections, tmp_path / "out", reference=1) == expected
    alignment(alone, tmp_path / "out", overwrite=True).check()
    assert not list((tmp_path / "out" / "images").iterdir())


def test_the_pages_of_another_stack_are_removed(three: Path, tmp_path: Path) -> None:
    """Their names are told from the settings that were kept."""
    pages = np.stack([imaged(REFERENCE)[0]] * 11, axis=-1)
    write_section(tmp_path / "stack.tif", pages)
    alignment(tmp_path / "stack.tif", tmp_path / "out").check()
    write_folder(tmp_path / "out" / "qc", {"stack_00.png": pages[..., 0], "stack_0.png": pages[..., 0]})
    alignment(three, tmp_path / "out", overwrite=True).check()
    assert [file.name for file in (tmp_path / "out" / "qc").iterdir()] == ["stack_0.png"]


@pytest.mark.parametrize("output", [".", "in", "in/.."])
def test_output_folder_with_the_sections(three: Path, tmp_path: Path, output: str) -> None:
    shutil.copytree(three, tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"the output folder holds the section .*section_1\.png; choose another"):
        alignment(tmp_path / "in", tmp_path / output, overwrite=True).check()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("linked", ["sections", "folder"])
def test_output_folder_with_links_to_the_sections(three: Path, tmp_path: Path, linked: str) -> None:
    images = tmp_path / "project" / "images"
    if linked == "folder":
        shutil.copytree(three, tmp_path / "raw")
        images.parent.mkdir()
        images.symlink_to(tmp_path / "raw")
    else:
        images.mkdir(parents=True)
        for file in three.iterdir():
            (images / file.name).symlink_to(file)
    with pytest.raises(ValueError, match=r"the output folder holds the section .*section_1\.png; choose another"):
        alignment(images, tmp_path / "project").check()
    assert list((tmp_path / "project").iterdir()) == [images]


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_are_not_of_an_alignment_are_left_alone(three: Path, tmp_path: Path, overwrite: bool) -> None:
    for name in ("images/scan.tif", "qc/holiday.png"):
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text("of the user")
        with pytest.raises(FileExistsError, match=f"{name}: is not of an alignment; choose another --output_dir"):
            alignment(three, tmp_path, overwrite=overwrite).check()
        assert file.read_text() == "of the user"
        file.unlink()


def test_what_identifies_a_run_does_not_hang_on_names_in_the_code(three: Path, tmp_path: Path) -> None:
    """These names stand in the folders of users: another one would refuse to go on with their runs."""
    stack = alignment(three, tmp_path / "out", registration(detect_folds=True), reference=1)
    stack.check()
    settings = json.loads((tmp_path / "out" / "chain" / "settings.json").read_text())
    assert [Path(image).name for image, *_ in settings.pop("sections")] == [f"section_{i}.png" for i in (1, 2, 3)]
    assert settings == {
        "fold_masks": [None, None, None],
        "registration": {
            "features": {"n_features": 3000, "contrast_threshold": 0.02},
            "deformation": {
                "transform_model": "affine",
                "kernel_radius": 0.016,
                "weight_exponent": 3.0,
                "grid_nodes": 32,
                "fold_aware": True,
            },
            "fold_detector": {
                "darkness": 1.7,
                "min_length": 0.2,
                "min_slenderness": 12.0,
                "min_displacement": 0.015,
            },
            "max_ratio": 0.92,
            "residual_threshold": 0.015,
            "patch_size": 40,
            "patch_step": 16,
            "search_radii": [16, 8],
        },
        "registration_size": 1536,
        "neighbours": 2,
        "drift_window": 50,
        "reference": 1,
        "canvas": "union",
        "interpolation": "cubic",
        "fill": "black",
    }
    stack.note, stack.registration.note = "other", "attribute"
    stack.check()


def test_a_section_named_as_a_file_of_the_run(tmp_path: Path) -> None:
    sections = {"settings.png": imaged(REFERENCE)[0], "report.png": imaged(3)[0]}
    folder = write_folder(tmp_path / "in", sections)
    first = align(folder, tmp_path / "out")
    assert align(folder, tmp_path / "out") == first


@pytest.mark.parametrize("most", [0, 1, 2])
def test_a_run_that_was_stopped_before_its_reference_was_found(tmp_path: Path, calls: Callable, most: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, SIZE).astype(np.uint8)
    sections = {"a.png": imaged(1)[0], "b.png": imaged(REFERENCE)[0], "c.png": noise, "d.png": imaged(3)[0]}
    folder = write_folder(tmp_path / "in", sections)
    align(folder, tmp_path / "whole")
    calls(most)
    with pytest.raises(KeyboardInterrupt):
        align(folder, tmp_path / "stopped")
    calls()
    align(folder, tmp_path / "stopped")
    assert_same_results(tmp_path / "stopped", tmp_path / "whole")


def test_a_list_of_someone_is_left_alone(three: Path, tmp_path: Path) -> None:
    """`sections.json` is what the aligned sections are listed in."""
    (tmp_path / "out").mkdir()
    for content in ('{"test": []}', "[]", "no JSON"):
        (tmp_path / "out" / "sections.json").write_text(content)
        with pytest.raises(FileExistsError, match=r"sections\.json: must be the list of aligned sections"):
            alignment(three, tmp_path / "out").check()
        assert (tmp_path / "out" / "sections.json").read_text() == content
