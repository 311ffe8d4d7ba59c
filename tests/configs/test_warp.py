from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scripts.config import first_cause
from scripts.io import read_section, write_section
from scripts.registration import Transformation

SIZE = (60, 50)
ALIGNED_SIZE = (80, 70)
SHIFTS = {"a": (3, 5), "a_1": (11, 7), "stack_0": (0, 2), "stack_1": (9, 1)}
"""By how many pixels each section lies to the right and below in the aligned stack."""


@pytest.fixture
def warped(tmp_path: Path, run_whole_config: Callable[..., None]) -> Callable[..., Path]:
    """Warp what lies in the folder `in` by transformations that only shift."""
    (tmp_path / "transformations").mkdir()
    for name, (x, y) in SHIFTS.items():
        transformation = Transformation.affine(SIZE, np.array([[1.0, 0, x], [0, 1, y]]))
        transformation.save(tmp_path / "transformations" / f"{name}.npz", ALIGNED_SIZE)

    def run(**overrides: object) -> Path:
        folders = {key: str(tmp_path / folder) for key, folder in (("dataset_dir", "in"), ("output_dir", "out"))}
        settings = {**folders, "transformations_dir": str(tmp_path / "transformations"), **overrides}
        run_whole_config("warp", "warping", **settings)
        return Path(settings["output_dir"])

    return run


def picture(size: tuple[int, int], seed: int = 0, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 200, size).astype(dtype)


def shifted_in(pixels: np.ndarray, name: str) -> np.ndarray:
    """A section's picture in the aligned stack."""
    x, y = SHIFTS[name]
    result = np.zeros(ALIGNED_SIZE, pixels.dtype)
    result[x : x + SIZE[0], y : y + SIZE[1]] = pixels
    return result


def cut_out(pixels: np.ndarray, name: str) -> np.ndarray:
    """The part of a picture of the aligned stack that belongs to a section."""
    x, y = SHIFTS[name]
    return pixels[x : x + SIZE[0], y : y + SIZE[1]]


@pytest.mark.parametrize("interpolation", ["nearest", "cubic"])
@pytest.mark.parametrize(("suffix", "dtype"), [(".png", "uint8"), (".png", "uint16"), (".tif", "float32")])
def test_inverse(warped: Callable, tmp_path: Path, interpolation: str, suffix: str, dtype: str) -> None:
    pixels = picture(ALIGNED_SIZE, dtype=dtype)
    write_section(tmp_path / "in" / f"a{suffix}", pixels)
    result = read_section(warped(interpolation=interpolation) / f"a{suffix}")
    assert result.dtype == dtype
    np.testing.assert_allclose(result, cut_out(pixels, "a"), atol=1e-2)


def test_forward(warped: Callable, tmp_path: Path) -> None:
    pixels = picture(SIZE)
    write_section(tmp_path / "in" / "a.png", pixels)
    result = read_section(warped(direction="forward") / "a.png")
    np.testing.assert_array_equal(result, shifted_in(pixels, "a"))


@pytest.mark.slow
def test_other_formats_become_tiff(warped: Callable, tmp_path: Path) -> None:
    pixels = picture(ALIGNED_SIZE)
    write_section(tmp_path / "in" / "a.nrrd", pixels)
    output = warped()
    assert sorted(file.name for file in output.iterdir()) == [".made_of.jsonl", "a.tif"]
    np.testing.assert_array_equal(read_section(output / "a.tif"), cut_out(pixels, "a"))


def test_what_is_appended_to_the_name_of_a_section(warped: Callable, tmp_path: Path) -> None:
    """The longest name that fits is that of the section."""
    owners = {"a_mitochondria": "a", "a_1": "a_1", "a_1_mitochondria": "a_1", "a_10": "a"}
    pictures = {name: picture(ALIGNED_SIZE, seed) for seed, name in enumerate(owners)}
    for name, pixels in pictures.items():
        write_section(tmp_path / "in" / f"{name}.tif", pixels)
    output = warped()
    assert sorted(file.stem for file in output.iterdir()) == [".made_of", *sorted(owners)]
    for name, owner in owners.items():
        np.testing.assert_array_equal(read_section(output / f"{name}.tif"), cut_out(pictures[name], owner))


def test_pages_of_a_stack(warped: Callable, tmp_path: Path) -> None:
    pages = [picture(SIZE, seed) for seed in range(2)]
    write_section(tmp_path / "in" / "stack.tif", np.stack(pages, axis=-1))
    output = warped(direction="forward")
    for number, page in enumerate(pages):
        result = read_section(output / f"stack_{number}.tif")
        np.testing.assert_array_equal(result, shifted_in(page, f"stack_{number}"))


def test_several_files(warped: Callable, tmp_path: Path) -> None:
    files = [tmp_path / "in" / "a.tif", tmp_path / "other" / "a_1.tif"]
    for file in files:
        write_section(file, picture(ALIGNED_SIZE))
    output = warped(dataset_dir=[str(file) for file in files])
    assert sorted(file.name for file in output.iterdir()) == [".made_of.jsonl", "a.tif", "a_1.tif"]


def test_existing_results_are_kept(warped: Callable, tmp_path: Path) -> None:
    pixels = picture(ALIGNED_SIZE)
    for name in ("a", "a_1"):
        write_section(tmp_path / "in" / f"{name}.tif", pixels)
    corrected = np.full(SIZE, 255, np.uint8)
    write_section(tmp_path / "out" / "a.tif", corrected)
    output = warped()
    np.testing.assert_array_equal(read_section(output / "a.tif"), corrected)
    np.testing.assert_array_equal(read_section(output / "a_1.tif"), cut_out(pixels, "a_1"))
    warped(overwrite=True)
    np.testing.assert_array_equal(read_section(output / "a.tif"), cut_out(pixels, "a"))


@pytest.mark.parametrize(
    ("name", "size", "overrides", "message"),
    [
        ("b.tif", ALIGNED_SIZE, {}, "b.tif: there is no transformation of its section in "),
        ("ab.tif", ALIGNED_SIZE, {}, "ab.tif: there is no transformation of its section in "),
        ("a.tif", SIZE, {}, "a.tif: must have the size of the aligned stack, 80x70 pixels, but got 60x50"),
        (
            "a.tif",
            ALIGNED_SIZE,
            {"direction": "forward"},
            "a.tif: must have the size of the section, 60x50 pixels, but got 80x70",
        ),
        (
            "a.tif",
            ALIGNED_SIZE,
            {"direction": "back"},
            "direction must be one of inverse, forward, but got 'back'",
        ),
        (
            "a.tif",
            ALIGNED_SIZE,
            {"interpolation": "linear"},
            "interpolation must be one of nearest, cubic, lanczos, but got 'linear'",
        ),
        ("a.tif", ALIGNED_SIZE, {"transformations_dir": "none"}, "none: holds no transformations (.npz)"),
        ("a.tif", ALIGNED_SIZE, {"dataset_dir": "none"}, "none: no such file or folder"),
        ("a.tif", ALIGNED_SIZE, {"directions": "forward"}, "unknown setting 'directions' = 'forward'"),
        (
            "a.tif",
            ALIGNED_SIZE,
            {"registration_size": 100},
            "setting 'registration_size' = 100 is not used by this workflow",
        ),
    ],
)
def test_what_cannot_be_warped(
    warped: Callable, tmp_path: Path, name: str, size: tuple[int, int], overrides: dict, message: str
) -> None:
    write_section(tmp_path / "in" / name, picture(size))
    with pytest.raises(RuntimeError) as caught:
        warped(**overrides)
    assert message in str(first_cause(caught.value))
    assert not (tmp_path / "out").exists()


def test_nothing_is_warped_if_one_picture_cannot_be(warped: Callable, tmp_path: Path) -> None:
    write_section(tmp_path / "in" / "a.tif", picture(ALIGNED_SIZE))
    write_section(tmp_path / "in" / "b.tif", picture(ALIGNED_SIZE))
    with pytest.raises(RuntimeError):
        warped()
    assert not (tmp_path / "out").exists()


def test_a_damaged_picture_leaves_no_result(warped: Callable, tmp_path: Path) -> None:
    write_section(tmp_path / "in" / "a.png", picture(ALIGNED_SIZE))
    os.truncate(tmp_path / "in" / "a.png", 1000)
    with pytest.raises(RuntimeError) as caught:
        warped()
    assert "a.png: cannot be read" in str(first_cause(caught.value))
    assert not list((tmp_path / "out").iterdir())


def test_output_folder_with_the_pictures(warped: Callable, tmp_path: Path) -> None:
    pixels = picture(ALIGNED_SIZE)
    write_section(tmp_path / "in" / "a.png", pixels)
    with pytest.raises(RuntimeError) as caught:
        warped(output_dir=str(tmp_path / "in"), overwrite=True)
    expected = f"the output folder holds the file {tmp_path / 'in' / 'a.png'}; choose another one"
    assert expected in str(first_cause(caught.value))
    np.testing.assert_array_equal(read_section(tmp_path / "in" / "a.png"), pixels)
