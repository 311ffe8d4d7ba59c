"""What a person makes of a stack, without a window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bundle.runs import ROOT
from bundle.viewer.project import Project, default_folder
from bundle.viewer.regions import Region
from scripts.io import check_sections, load_sections, read_section, write_section


def rectangle(section: int, top: int, left: int, bottom: int, right: int, held_out: bool | None = None) -> Region:
    """Of the pixels from top to bottom and left to right, the last two inclusive."""
    corners = ((top, left), (top, right), (bottom, right), (bottom, left))
    return Region(section, tuple((float(y), float(x)) for y, x in corners), held_out)


@pytest.fixture
def project(stack: Path) -> Project:
    return Project(stack, pixel_size=5, section_thickness=50)


def test_what_is_made_is_there_when_the_stack_is_opened_again(project: Project, stack: Path) -> None:
    project.labels[1, 20:30, 40:60] = 1
    project.set_regions([rectangle(1, 10, 30, 100, 90)])
    project.set_thickness(45)
    project.close()
    again = Project(stack)
    assert again.folder == stack.parent / "stack_napari"
    assert again.labels[1].sum() == 200
    assert again.labels[0].sum() == again.labels[2].sum() == 0
    assert again.regions == [rectangle(1, 10, 30, 100, 90, held_out=False)]
    assert again.pixel_size == [5.0, 5.0]
    assert again.thickness == 45
    assert again.weights == ROOT / "models" / "model.pt"


def test_two_at_once_are_refused(project: Project, stack: Path) -> None:
    with pytest.raises(OSError, match="another viewer has this stack open"):
        Project(stack)
    project.close()
    Project(stack).close()


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("a/stack", "a/stack_napari"),
        ("a/stack/*.png", "a/stack_napari"),
        ("a/x.tif", "a/x_napari"),
        ("a/v.zarr", "a/v_napari"),
    ],
)
def test_the_folder_lies_beside_the_stack(tmp_path: Path, source: str, folder: str) -> None:
    (tmp_path / "a" / "stack").mkdir(parents=True)
    (tmp_path / "a" / "v.zarr").mkdir()
    assert default_folder(tmp_path / source) == tmp_path / folder


def test_every_third_region_is_held_out_and_stays_so(project: Project) -> None:
    for count in range(1, 8):
        project.set_regions([*project.regions, rectangle(0, 0, 10 * count, 9, 10 * count + 5)])
    held = [region.held_out for region in project.regions]
    assert held == [False, False, True, False, False, True, False]
    project.set_regions(project.regions[1:])
    assert [region.held_out for region in project.regions] == held[1:]


@pytest.mark.parametrize("region", [rectangle(0, 300, 10, 400, 50), rectangle(3, 0, 0, 20, 20)])
def test_a_region_outside_of_the_sections_is_refused_and_the_others_stay(project: Project, region: Region) -> None:
    project.set_regions([rectangle(0, 0, 0, 20, 20)])
    with pytest.raises(ValueError, match="region 2 lies outside"):
        project.set_regions([*project.regions, region])
    assert project.regions == [rectangle(0, 0, 0, 20, 20, held_out=False)]
    assert len(json.loads((project.folder / "regions.json").read_text())) == 1


def test_a_mask_of_the_network_leaves_reviewed_regions_alone(project: Project) -> None:
    project.labels[0, 5, 5] = 1
    project.set_regions([rectangle(0, 0, 0, 99, 99)])
    mask = np.zeros(project.shape[1:], np.uint8)
    mask[90:110, 90:110] = 255
    indices, values = project.segmented(0, mask)
    project.labels[indices] = values
    expected = np.zeros(project.shape[1:], bool)
    expected[90:110, 90:110] = True
    expected[:100, :100] = False
    expected[5, 5] = True
    np.testing.assert_array_equal(project.labels[0] > 0, expected)


def test_the_data_set_knows_what_was_reviewed_and_no_more(project: Project, truth: np.ndarray) -> None:
    project.labels[:] = truth
    rows, columns = np.nonzero(truth[0])
    y, x = int(rows[0]), int(columns[0])
    top, left = max(0, y - 40), max(0, x - 40)
    project.set_regions(
        [rectangle(0, top, left, top + 79, left + 79), rectangle(1, 0, 0, 59, 59), rectangle(2, 0, 0, 255, 255)]
    )
    folder = project.folder / "trainings" / "one"
    project.write_teaching(folder)
    training, validation = (load_sections(folder / "datalist.json", part) for part in ("training", "validation"))
    check_sections(training)
    check_sections(validation, require_mitochondria=True)
    assert [len(training), len(validation)] == [2, 1]
    assert training[0].pixel_size_nm == (5, 5)
    assert training[0].region == (left, top, left + 80, top + 80)
    known = read_section(training[0].known).T > 0
    assert known.sum() == 80 * 80
    assert known[top : top + 80, left : left + 80].all()
    np.testing.assert_array_equal(read_section(training[0].label).T > 0, truth[0])
    np.testing.assert_array_equal(read_section(training[0]), read_section(project.sections[0]))


def test_what_is_held_out_is_not_learned_from(project: Project, truth: np.ndarray) -> None:
    project.labels[:] = truth
    project.set_regions([rectangle(0, 0, 0, 255, 255), rectangle(1, 0, 0, 9, 9), rectangle(0, 0, 0, 255, 127)])
    project.write_teaching(project.folder / "one")
    known = read_section(load_sections(project.folder / "one" / "datalist.json", "training")[0].known).T > 0
    assert not known[:, :128].any()
    assert known[:, 128:].all()


def test_with_fewer_than_three_regions_they_judge_themselves(project: Project, truth: np.ndarray) -> None:
    project.labels[:] = truth
    project.set_regions([rectangle(0, 0, 0, 255, 255)])
    project.write_teaching(project.folder / "one")
    content = json.loads((project.folder / "one" / "datalist.json").read_text())
    assert content["validation"] == content["training"]


def test_nothing_to_learn_from_is_said(project: Project) -> None:
    with pytest.raises(ValueError, match="no region is reviewed yet"):
        project.write_teaching(project.folder / "one")
    project.set_regions([rectangle(0, 0, 0, 50, 50)])
    with pytest.raises(ValueError, match="no mitochondrion in the regions"):
        project.write_teaching(project.folder / "one")
    assert not (project.folder / "one").exists()


def test_masks_are_named_and_shaped_as_those_of_the_inference(
    project: Project, stack: Path, truth: np.ndarray, tmp_path: Path
) -> None:
    project.labels[:] = truth
    project.write_masks(tmp_path / "masks")
    for index, file in enumerate(sorted(stack.iterdir())):
        mask = read_section(tmp_path / "masks" / f"{file.stem}_mitochondria.png")
        np.testing.assert_array_equal(mask.T, 255 * truth[index])
    pages = np.stack([read_section(file) for file in sorted(stack.iterdir())], axis=-1)
    write_section(tmp_path / "whole.tif", pages)
    whole = Project(tmp_path / "whole.tif")
    whole.labels[:] = truth
    whole.write_masks(tmp_path / "masks")
    assert [file.name for file in (tmp_path / "masks").iterdir()] == ["whole_mitochondria.tif"]
    for index in range(3):
        mask = read_section(tmp_path / "masks" / "whole_mitochondria.tif", index)
        np.testing.assert_array_equal(mask.T, 255 * truth[index])


def test_any_number_that_was_painted_is_a_mitochondrion(project: Project, stack: Path, tmp_path: Path) -> None:
    project.labels[0, 10:20, 10:20] = 2
    project.labels[0, 20:30, 10:20] = 1
    project.set_regions([rectangle(0, 0, 0, 255, 255)])
    project.write_masks(tmp_path / "masks")
    project.write_teaching(tmp_path / "teaching")
    mask = tmp_path / "masks" / f"{sorted(stack.iterdir())[0].stem}_mitochondria.png"
    label = load_sections(tmp_path / "teaching" / "datalist.json", "training")[0].label
    for file in (mask, label):
        np.testing.assert_array_equal(read_section(file).T, np.where(project.labels[0] > 0, 255, 0))


def test_sections_of_one_name_are_not_measured_as_one(stack: Path, tmp_path: Path) -> None:
    for number, file in enumerate(sorted(stack.iterdir())):
        write_section(tmp_path / "scan" / str(number) / "image.tif", read_section(file))
    project = Project(str(tmp_path / "scan" / "*" / "image.tif"))
    (project.folder / "masks").mkdir()
    with pytest.raises(
        ValueError, match=r"1/image.tif: must have another name than .*0/image.tif .* but got image_mito"
    ):
        project.write_masks(project.folder / "masks")
    assert (project.folder / "masks").is_dir()


def test_a_stack_that_has_changed_its_size_keeps_its_labels(project: Project, stack: Path) -> None:
    project.labels[0, :5] = 1
    project.close()
    for file in stack.iterdir():
        write_section(file, read_section(file)[:200])
    with pytest.raises(
        ValueError, match=r"labels.zarr: holds labels of 3 sections of 256x256 .* has 3 sections of 200x"
    ):
        Project(stack)
    for file in stack.iterdir():
        write_section(file, np.zeros((256, 256), np.uint8))
    assert Project(stack).labels[0].sum() == 5 * 256


def test_sections_of_several_sizes_are_refused_by_name(stack: Path) -> None:
    write_section(stack / "zzz.png", np.zeros((100, 90), np.uint8))
    with pytest.raises(ValueError, match=r"zzz.png: has 100x90 pixels, but training_000.png has 256x256.* Align them"):
        Project(stack)


def test_a_damaged_record_is_named(project: Project, stack: Path) -> None:
    project.close()
    (project.folder / "regions.json").write_text("[{")
    with pytest.raises(ValueError, match=r"regions.json: is damaged"):
        Project(stack)
