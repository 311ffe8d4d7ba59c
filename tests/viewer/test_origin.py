"""Labels belong to the sections that they were made on, and to no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bundle.viewer.project import Project, default_folder
from scripts.io import write_section

SIZE = (20, 16)


def sections(folder: Path, *names: str) -> str:
    for name in names:
        write_section(folder / name, np.arange(320, dtype=np.uint8).reshape(SIZE))
    return str(folder)


def label(source: str, folder: Path | None = None) -> Path:
    """Open a stack, and paint on its first section."""
    project = Project(source, folder)
    project.labels[0, :5] = 1
    project.close()
    return project.folder


def labelled(source: str, folder: Path | None = None) -> bool:
    project = Project(source, folder)
    project.close()
    return bool(project.labels[:].any())


def as_of_version_0_10(folder: Path) -> None:
    """Take away what the record of a project did not have then."""
    record = json.loads((folder / "project.json").read_text())
    record.pop("files", None)
    (folder / "project.json").write_text(json.dumps(record))


def test_patterns_of_one_folder_have_folders_of_their_own(tmp_path: Path) -> None:
    sections(tmp_path / "imgs", "a_0.png", "a_1.png", "b_0.png", "b_1.png")
    patterns = [str(tmp_path / "imgs" / name) for name in ("a_*.png", "b_*.png", "a_?.png", "[a]_*.png")]
    folders = [label(pattern) for pattern in patterns]
    assert len({*folders}) == 4
    assert all(folder.parent == tmp_path and not set(folder.name) & set("*?[]") for folder in folders)
    assert all(labelled(pattern) for pattern in patterns)
    assert not labelled(str(tmp_path / "imgs"))


def test_a_pattern_of_folders_has_one_beside_the_folder_that_it_begins_with(tmp_path: Path) -> None:
    for name in ("one", "two"):
        sections(tmp_path / "scan" / name, "image.tif")
    folder = default_folder(tmp_path / "scan" / "*" / "image.tif")
    assert folder.parent == tmp_path
    assert folder.name.startswith("scan_")
    assert folder != default_folder(tmp_path / "scan" / "*" / "other.tif")


def test_a_folder_with_a_bracket_is_no_pattern(tmp_path: Path) -> None:
    stacks = [sections(tmp_path / name, "s0.png", "s1.png") for name in ("raw[1]", "raw[2]")]
    assert label(stacks[0]) == tmp_path / "raw[1]_napari"
    assert not labelled(stacks[1])
    assert labelled(f"{stacks[0]}/*.png")


def test_volumes_are_known_by_capitals_too(tmp_path: Path) -> None:
    (tmp_path / "v.ZARR").mkdir()
    assert default_folder(tmp_path / "v.ZARR") == tmp_path / "v_napari"


def test_other_sections_are_refused(tmp_path: Path) -> None:
    stack = sections(tmp_path / "stack", "s0.png", "s1.png", "s2.png")
    label(stack)
    (tmp_path / "stack" / "s0.png").rename(tmp_path / "stack" / "s3.png")
    for _ in range(2):  # nothing of it is kept
        with pytest.raises(ValueError, match=r"section 0 must be .*s0\.png, page 0, but got .*s1\.png.*--output_dir"):
            Project(stack)
    (tmp_path / "stack" / "s3.png").rename(tmp_path / "stack" / "s0.png")
    assert labelled(stack)
    sections(tmp_path / "stack", "s3.png")
    with pytest.raises(ValueError, match="must be 3 sections, but got 4"):
        Project(stack)


def test_other_sections_of_the_same_names_are_refused(tmp_path: Path) -> None:
    first, second = (sections(tmp_path / mouse / "images", "s0.png", "s1.png") for mouse in ("mouse1", "mouse2"))
    label(first, tmp_path / "work")
    with pytest.raises(ValueError, match=r"must be .*mouse1.*s0\.png, page 0, but got .*mouse2.*s0\.png"):
        Project(second, tmp_path / "work")
    assert labelled(first, tmp_path / "work")


def test_a_stack_that_was_moved_keeps_its_labels(tmp_path: Path) -> None:
    label(sections(tmp_path / "here" / "stack", "s0.png", "s1.png"))
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert labelled(str(tmp_path / "there" / "stack"))


def test_projects_of_version_0_10_open(tmp_path: Path) -> None:
    stack = sections(tmp_path / "imgs", "a_0.png", "a_1.png", "b_0.png", "b_1.png")
    pattern = str(tmp_path / "imgs" / "a_*.png")
    as_of_version_0_10(label(pattern, tmp_path / "imgs_napari"))
    other = str(tmp_path / "imgs" / "b_*.png")
    with pytest.raises(ValueError, match=r"must be .*a_\*\.png, but got .*b_\*\.png"):
        Project(other, tmp_path / "imgs_napari")
    with pytest.raises(ValueError, match=r"must be .*a_\*\.png, but got .*imgs\. Open"):
        Project(stack)
    assert not labelled(other)
    assert labelled(pattern)  # where it was
    assert "files" in json.loads((tmp_path / "imgs_napari" / "project.json").read_text())
    assert labelled(pattern)


def test_a_folder_and_the_pattern_of_all_its_files_are_one_stack_of_version_0_10_too(tmp_path: Path) -> None:
    stack = sections(tmp_path / "imgs", "a_0.png", "a_1.png")
    as_of_version_0_10(label(str(stack), tmp_path / "imgs_napari"))
    assert labelled(str(tmp_path / "imgs" / "*.png"))
    assert labelled(str(stack))


def test_a_folder_that_others_filled_is_refused(tmp_path: Path) -> None:
    stack = sections(tmp_path / "stack", "s0.png", "s1.png")
    sections(tmp_path / "work" / "masks", "corrected.png")
    with pytest.raises(
        ValueError, match=r"work: must be a new folder, .* but got one that holds masks; .*--output_dir"
    ):
        Project(stack, tmp_path / "work")
    assert [entry.name for entry in (tmp_path / "work").rglob("*")] == ["masks", "corrected.png"]
    (tmp_path / "empty").mkdir()
    label(stack, tmp_path / "empty")
    (tmp_path / "empty" / "project.json").unlink()  # as is advised where it is damaged
    assert labelled(stack, tmp_path / "empty")


def test_no_thickness_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="section_thickness must be nanometres from 1 to 1000, but got 0"):
        Project(sections(tmp_path / "stack", "s0.png"), section_thickness=0)
