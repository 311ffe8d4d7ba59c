from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow
from scipy.ndimage import gaussian_filter

from scripts.data.phantom import Deformation
from scripts.io import read_section, write_section
from scripts.registration import PairRegistration, Transformation
from scripts.settings import first_cause

ROOT = Path(__file__).parents[2]
SIZE = (200, 180)
MARGIN = 40
COUNT = 3
REFERENCE = 1
SMALL = {
    "features#most": 2000,
    "features#contrast": 0.02,
    "deformation#nodes": 24,
    "pair#patch_size": 40,
    "pair#patch_step": 16,
    "pair#radii": [16, 8],
    "find_folds": False,
}
RESULTS = {"images": ".tif", "valid": ".png", "transformations": ".npz", "pictures": ".png"}


def phantom_stack() -> tuple[list[np.ndarray], list[Deformation]]:
    """Sections of grey texture that changes slowly, and how each was deformed; the reference is not."""
    rng = np.random.default_rng(3)
    shape = tuple(n + 2 * MARGIN for n in SIZE)
    fields = [[gaussian_filter(rng.normal(size=shape), sigma) for _ in range(2)] for sigma in (1.5, 3.0, 6.0)]
    sections, deformations = [], []
    for index in range(COUNT):
        field = sum((np.cos(index / 4) * a + np.sin(index / 4) * b) / a.std() for a, b in fields)
        ideal = (0.6 + 0.06 * field).clip(0, 1)
        deformation = Deformation.random(SIZE, rng, misalign=index != REFERENCE, fold=False)
        image, _ = deformation.apply(ideal, np.zeros(shape, np.uint8))
        sections.append(np.clip(255 * (image + 0.02 * rng.normal(size=SIZE)), 0, 255).astype(np.uint8))
        deformations.append(deformation)
    return sections, deformations


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sections and a file of them all beside it; section 10 comes after section 9."""
    root = tmp_path_factory.mktemp("stack")
    sections, _ = phantom_stack()
    for number, pixels in enumerate(sections, start=8):
        write_section(root / "sections" / f"section_{number}.png", pixels)
    write_section(root / "stack.tif", np.stack(sections, axis=-1))
    images = [{"image": f"sections/section_{number}.png"} for number in (8, 9, 10)]
    (root / "list.json").write_text(json.dumps({"test": images}))
    return root


def run_register(**overrides: object) -> None:
    settings = {"bundle_root": str(ROOT), **SMALL, **overrides}
    files = [str(ROOT / "configs" / "register.json")]
    workflow = ConfigWorkflow(files, logging_file=False, run_id="registration", **settings)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    monkeypatch.chdir(tmp_path)  # nothing may be written relative to the current folder
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr("sys.excepthook", lambda *_: None)

    def run(source: object, **overrides: object) -> Path:
        source = [str(file) for file in source] if isinstance(source, list) else str(source)
        run_register(dataset_dir=source, **{"output_dir": str(tmp_path / "out"), **overrides})
        return tmp_path / "out"

    return run


@pytest.fixture(scope="session")
def from_folder(stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results for the folder; not to be changed."""
    output = tmp_path_factory.mktemp("registered") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        patch.setattr("sys.excepthook", lambda *_: None)
        run_register(dataset_dir=str(stack / "sections"), output_dir=str(output))
    return output


def test_results_in_the_order_of_the_stack(from_folder: Path) -> None:
    expected = {*RESULTS, "chain", "report.csv", "report.json"}
    assert {path.name for path in from_folder.iterdir()} == expected
    report = json.loads((from_folder / "report.json").read_text())
    assert report["reference"] == "section_9"
    entries = {entry["section"]: entry["status"] for entry in report["sections"]}
    assert list(entries.items()) == [
        ("section_8", "registered"),
        ("section_9", "reference"),
        ("section_10", "registered"),
    ]
    for key, suffix in RESULTS.items():
        assert {file.name for file in (from_folder / key).iterdir()} == {f"{name}{suffix}" for name in entries}


def test_the_displacement_found_is_the_true_one(from_folder: Path) -> None:
    points = np.stack(np.meshgrid(*(np.arange(4, n - 4, 4) for n in SIZE), indexing="ij"), axis=-1).reshape(-1, 2)
    transformations = [
        Transformation.load(from_folder / "transformations" / f"section_{number}.npz") for number in (8, 9, 10)
    ]
    for transformation, deformation in zip(transformations, phantom_stack()[1], strict=True):
        places = points + deformation.displacement[:, *points.T].T
        expected = transformations[REFERENCE].forward(places)
        error = np.linalg.norm(transformation.forward(points.astype(float)) - expected, axis=1)
        assert np.median(error) < 0.7
        assert np.percentile(error, 90) < 2


@pytest.mark.parametrize("source", ["list", "files", "stack"])
def test_every_kind_of_stack_gives_the_same_pixels(
    register: Callable, stack: Path, from_folder: Path, source: str
) -> None:
    sources = {
        "list": stack / "list.json",
        "files": [stack / "sections" / f"section_{number}.png" for number in (8, 9, 10)],
        "stack": stack / "stack.tif",
    }
    output = register(sources[source])
    for page, number in enumerate((8, 9, 10)):
        name = f"stack_{page}" if source == "stack" else f"section_{number}"
        for key in ("images", "valid"):
            expected = read_section(from_folder / key / f"section_{number}{RESULTS[key]}")
            np.testing.assert_array_equal(read_section(output / key / f"{name}{RESULTS[key]}"), expected)


def test_settings_reach_the_algorithms(register: Callable, stack: Path) -> None:
    changed = {
        "model": "rigid",
        "smoothing": 0.05,
        "alpha": 2.0,
        "around_folds": False,
        "find_folds": True,
        "working_size": 100,
        "neighbours": 1,
        "chunk": 7,
        "reference": 0,
        "canvas": "reference",
        "interpolation": "lanczos",
        "pair#patch_size": 24,
        "pair#patch_step": 8,
        "pair#radii": [8, 4],
    }
    output = register(stack / "sections", **changed)
    settings = json.loads((output / "chain" / "settings.json").read_text())
    for key in ("working_size", "neighbours", "chunk", "reference", "canvas", "interpolation"):
        assert settings[key] == changed[key]
    for key in ("patch_size", "patch_step", "radii"):
        assert settings[f"registration#{key}"] == changed[f"pair#{key}"]
    assert settings["registration#folds#darkness"] == 1.7
    for key in ("model", "smoothing", "alpha", "around_folds"):
        assert settings[f"registration#deformation#{key}"] == changed[key]
    assert settings["registration#deformation#nodes"] == SMALL["deformation#nodes"]
    report = json.loads((output / "report.json").read_text())
    assert report["reference"] == "section_8"
    assert (report["width"], report["height"]) == SIZE
    assert report["working_resolution"] == "1/2"


def test_another_alignment_is_kept_or_replaced(register: Callable, stack: Path, from_folder: Path) -> None:
    output = register(stack / "sections", canvas="reference")
    before = (output / "report.json").read_text()
    with pytest.raises(RuntimeError) as caught:
        register(stack / "sections")
    error = first_cause(caught.value)
    assert isinstance(error, FileExistsError)
    assert "what differs: canvas. Choose another --output_dir, or replace it by --overwrite True" in str(error)
    assert (output / "report.json").read_text() == before
    register(stack / "sections", overwrite=True)
    assert (output / "report.json").read_text() == (from_folder / "report.json").read_text() != before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"working_sise": 100}, "unknown setting 'working_sise' = 100; did you mean 'working_size'?"),
        ({"width": 0.3}, "setting 'width' = 0.3 is not used by this workflow"),
        ({"neighbours": "2"}, "setting 'neighbours' = '2' is of type str, expected int, such as 2"),
        ({"canvas": "all"}, "canvas has to be one of union, reference, got 'all'"),
        ({"interpolation": "nearest"}, "interpolation of the sections has to be cubic or lanczos, got 'nearest'"),
        ({"model": "linear"}, "model has to be one of affine, similarity, rigid, got 'linear'"),
        ({"smoothing": 2.0}, "smoothing has to be between 0 and 1, got 2.0"),
        ({"pair#patch_size": 4}, "patch_size has to be between 8 and 1024, got 4"),
        ({"reference": 3}, "reference has to be a section from 0 to 2, got 3"),
        ({"folds_dir": "none"}, "none: no such folder of fold masks"),
        ({"dataset_dir": "none"}, "none: no such file or folder"),
    ],
)
def test_mistakes_are_named(register: Callable, stack: Path, tmp_path: Path, overrides: dict, message: str) -> None:
    settings = {"dataset_dir": str(stack / "sections"), "output_dir": str(tmp_path / "out"), **overrides}
    with pytest.raises(RuntimeError) as caught:
        run_register(**settings)
    assert message in str(first_cause(caught.value))
    assert not (tmp_path / "out").exists()


def test_a_misspelt_setting_of_a_component(register: Callable, stack: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        register(stack / "sections", **{"pair#patch_sise": 40})
    assert "patch_sise" in str(first_cause(caught.value))
    assert not (tmp_path / "out").exists()


def test_a_damaged_section_is_noticed_at_once(
    register: Callable, stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (8, 9, 10):
        pixels = read_section(stack / "sections" / f"section_{number}.png")
        write_section(tmp_path / "in" / f"section_{number}.tif", pixels)
    os.truncate(tmp_path / "in" / "section_8.tif", 5000)
    monkeypatch.setattr(PairRegistration, "__call__", lambda *_: pytest.fail("is noticed only in the middle"))
    with pytest.raises(RuntimeError) as caught:
        register(tmp_path / "in")
    assert "section_8.tif: cannot be read" in str(first_cause(caught.value))
    assert not (tmp_path / "out" / "images").exists()


def bundle_run(*arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai.bundle", "run", *(str(argument) for argument in arguments)]
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_registration_as_a_user_types_it(stack: Path, from_folder: Path, tmp_path: Path) -> None:
    folders = {"dataset_dir": stack / "sections", "output_dir": tmp_path / "out"}
    run = bundle_run("registration", "--config_file", "configs/register.json", **folders, **SMALL)
    assert run.returncode == 0, run.stderr
    assert "registering: 100%" in run.stderr
    assert run.stdout.splitlines()[-1] == f"Aligned sections and report: {tmp_path / 'out'}"
    assert (tmp_path / "out" / "report.json").read_text() == (from_folder / "report.json").read_text()


def test_a_mistake_is_explained_in_the_last_line(stack: Path, tmp_path: Path) -> None:
    mask = tmp_path / "folds" / "section_10.png"
    write_section(mask, np.zeros((100, 90), np.uint8))
    folders = {"dataset_dir": stack / "sections", "output_dir": tmp_path / "out", "folds_dir": tmp_path / "folds"}
    run = bundle_run("registration", "--config_file", "configs/register.json", **folders)
    assert run.returncode != 0
    expected = f"Cause: ValueError: {mask}: has 100x90 pixels, its section 200x180"
    assert run.stderr.strip().splitlines()[-1] == expected
