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
from textures import imaged, truth

from scripts.config import first_cause
from scripts.io import find_sections, read_section, write_section
from scripts.phantom import PhantomTissue, acquire
from scripts.registration import PairRegistration, Transformation

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SIZE = (200, 180)
STACK = (1, 2, 3)
"""Sections of the stack; that in the middle is not deformed."""
SHIPPED = {"checkpoint": str(ROOT / "models" / "model.pt"), "width": 0.5, "downsampling": 2, "patch_size": 512}
SMALL = {
    "features#n_features": 2000,
    "features#contrast_threshold": 0.02,
    "deformation#grid_nodes": 24,
    "pair#patch_size": 40,
    "pair#patch_step": 16,
    "pair#search_radii": [16, 8],
    "detect_folds": False,
}
RESULTS = {"images": ".tif", "valid": ".png", "transformations": ".npz", "qc": ".png"}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sections and a file of them all beside it; section 10 comes after section 9."""
    root = tmp_path_factory.mktemp("stack")
    sections = [imaged(index, size=SIZE)[0] for index in STACK]
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
        return Path(overrides.get("output_dir", tmp_path / "out"))

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
    expected = {*RESULTS, "chain", "report.csv", "report.json", "sections.json"}
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
    transformations = [
        Transformation.load(from_folder / "transformations" / f"section_{number}.npz") for number in (8, 9, 10)
    ]
    for transformation, index in zip(transformations, STACK, strict=True):
        points, places = truth(index, size=SIZE, whole=SIZE)
        error = np.linalg.norm(transformation.forward(points) - transformations[1].forward(places), axis=1)
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
        "transform_model": "rigid",
        "kernel_radius": 0.05,
        "weight_exponent": 2.0,
        "fold_aware": False,
        "detect_folds": True,
        "registration_size": 100,
        "neighbours": 1,
        "drift_window": 7,
        "reference": 0,
        "canvas": "reference",
        "interpolation": "lanczos",
        "pair#patch_size": 24,
        "pair#patch_step": 8,
        "pair#search_radii": [8, 4],
    }
    output = register(stack / "sections", **changed)
    settings = json.loads((output / "chain" / "settings.json").read_text())
    for key in ("registration_size", "neighbours", "drift_window", "reference", "canvas", "interpolation"):
        assert settings[key] == changed[key]
    pair = settings["registration"]
    for key in ("patch_size", "patch_step", "search_radii"):
        assert pair[key] == changed[f"pair#{key}"]
    assert pair["fold_detector"]["darkness"] == 1.7
    for key in ("transform_model", "kernel_radius", "weight_exponent", "fold_aware"):
        assert pair["deformation"][key] == changed[key]
    assert pair["deformation"]["grid_nodes"] == SMALL["deformation#grid_nodes"]
    report = json.loads((output / "report.json").read_text())
    assert report["reference"] == "section_8"
    assert (report["width"], report["height"]) == SIZE
    assert report["registration_scale"] == "1/2"


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
        ({"registration_sise": 100}, "unknown setting 'registration_sise' = 100; did you mean 'registration_size'?"),
        ({"width": 0.3}, "setting 'width' = 0.3 is not used by this workflow"),
        ({"neighbours": "2"}, "setting 'neighbours' must be of type int, such as 2, but got '2' of type str"),
        ({"canvas": "all"}, "canvas must be one of union, reference, but got 'all'"),
        ({"interpolation": "nearest"}, "interpolation must be one of cubic, lanczos, but got 'nearest'"),
        ({"transform_model": "linear"}, "transform_model must be one of affine, similarity, rigid, but got 'linear'"),
        ({"kernel_radius": 2.0}, "kernel_radius must be between 0 and 1, but got 2.0"),
        ({"pair#patch_size": 4}, "patch_size must be between 8 and 1024, but got 4"),
        ({"reference": 3}, "reference must be a section from 0 to 2, but got 3"),
        ({"fold_masks_dir": "none"}, "none: no such folder of fold masks"),
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


def test_a_mistake_is_explained_in_the_last_line(
    register: Callable, stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = tmp_path / "folds" / "section_10.png"
    write_section(mask, np.zeros((100, 90), np.uint8))
    with pytest.raises(RuntimeError) as caught:
        register(stack / "sections", fold_masks_dir=str(tmp_path / "folds"))
    sys.excepthook(caught.type, caught.value, caught.tb)  # the config has set it
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"Cause: ValueError: {mask}: ")
    assert last.endswith("200x180 pixels, but got 100x90")


def test_masks_of_sections_of_32_bit_are_those_of_8_bit(
    register: Callable, run_config: Callable, tmp_path: Path
) -> None:
    """Registered, then segmented by the shipped weights."""
    tissue = PhantomTissue(4, (384, 384), 1).section(0)[0]
    image = acquire(tissue, np.random.default_rng(0))
    masks = {}
    for kind, offset in (("uint8", 0), ("uint32", 10**6)):
        for name, pixels in (("a", image), ("b", np.roll(image, 5, axis=0))):
            write_section(tmp_path / kind / f"{name}.tif", (pixels.astype(np.int64) + offset).astype(kind))
        aligned = register(tmp_path / kind, output_dir=str(tmp_path / f"{kind}_aligned"), **{"pair#patch_size": 80})
        run_config(
            "inference",
            dataset_dir=str(aligned / "images"),
            output_dir=str(tmp_path / f"{kind}_masks"),
            **SHIPPED,
        )
        masks[kind] = [read_section(tmp_path / f"{kind}_masks" / f"{n}_mitochondria.tif") > 0 for n in "ab"]
    for narrow, wide in zip(masks["uint8"], masks["uint32"], strict=True):
        assert narrow.mean() > 0.01
        assert (narrow & wide).sum() / (narrow | wide).sum() > 0.97


@pytest.mark.parametrize(("form", "images"), [("tif", "images"), ("zarr", "images.zarr")])
def test_a_pixel_size_that_is_stated_later_is_written(register: Callable, stack: Path, form: str, images: str) -> None:
    for size in (None, 7.5, 9.0, 9.0):
        output = register(stack / "sections", output_format=form, pixel_size=size)
        expected = {None} if size is None else {(size, size)}
        assert {section.pixel_size_nm for section in find_sections(output / images)} == expected
