"""Stacks with sections that are blank, of another kind, or hardly there; and of pixel types that are rare."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter
from stacks import align, alignment, errors, write_folder
from textures import REFERENCE, SIZE, grey, imaged, texture, truth

from scripts.io import find_sections, read_section

pytestmark = pytest.mark.slow

NOISE: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "camera": lambda rng: rng.normal(200, 2, SIZE),
    "blurred": lambda rng: 150 + 300 * gaussian_filter(rng.normal(size=SIZE), 2),
    "hot pixels": lambda rng: np.where(rng.random(SIZE) < 0.01, 255, 90),
}


def statuses(report: dict) -> dict[str, str]:
    return {entry["section"]: entry["status"] for entry in report["sections"]}


@pytest.mark.parametrize("kind", NOISE)
def test_a_section_of_noise_is_no_reference_and_is_bridged(tmp_path: Path, kind: str) -> None:
    noise = np.clip(NOISE[kind](np.random.default_rng(0)), 0, 255).astype(np.uint8)
    sections = {"a": imaged(1)[0], "b": imaged(2)[0], "c": noise, "d": imaged(3)[0], "e": imaged(4)[0]}
    report = align(write_folder(tmp_path / "in", {f"{n}.png": s for n, s in sections.items()}), tmp_path / "out")
    assert report["reference"] == "b"
    found = statuses(report)
    assert found.pop("c") == "not_registered"
    assert set(found.values()) == {"reference", "registered"}
    for name, index in (("a", 1), ("d", 3), ("e", 4)):
        assert np.median(errors(tmp_path / "out", name, "b", *truth(index))) < 0.7


def test_blank_frames_with_the_same_noise_are_no_reference(tmp_path: Path) -> None:
    noise = np.clip(NOISE["camera"](np.random.default_rng(0)), 0, 255).astype(np.uint8)
    sections = {"a": imaged(1)[0], "b": imaged(2)[0], "c": noise, "d": noise, "e": imaged(3)[0]}
    report = align(write_folder(tmp_path / "in", {f"{n}.png": s for n, s in sections.items()}), tmp_path / "out")
    assert report["reference"] == "b"
    assert statuses(report) == {
        "a": "registered",
        "b": "reference",
        "c": "not_registered",
        "d": "not_registered",
        "e": "registered",
    }


@pytest.mark.parametrize("reference", [None, 0, 1])
def test_a_stack_of_which_nothing_fits_is_an_error(tmp_path: Path, reference: int | None) -> None:
    sections = {f"s{seed}.png": grey(texture(seed, SIZE)) for seed in range(3)}
    with pytest.raises(ValueError, match=rf"s{1 if reference is None else reference}\.png: .*too few matches"):
        align(write_folder(tmp_path / "in", sections), tmp_path / "out", reference=reference)
    assert not (tmp_path / "out" / "images").exists()
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_single_section_is_aligned_with_itself(tmp_path: Path) -> None:
    report = align(write_folder(tmp_path / "in", {"a.png": imaged(2)[0]}), tmp_path / "out", canvas="reference")
    assert statuses(report) == {"a": "reference"}
    np.testing.assert_array_equal(read_section(tmp_path / "out" / "images" / "a.tif"), imaged(2)[0])


@pytest.mark.parametrize(
    ("size", "place"),
    [((1, 1), "first"), ((1, 1), "middle"), ((240, 1), "middle"), ((3, 700), "first"), ((7, 9), "first")],
)
def test_a_section_of_few_pixels_is_reported(tmp_path: Path, size: tuple[int, int], place: str) -> None:
    others = [imaged(2)[0], imaged(3)[0]]
    small = np.resize(imaged(3)[0], size)
    sections = [small, *others] if place == "first" else [others[0], small, others[1]]
    folder = write_folder(tmp_path / "in", {f"{i}.tif": section for i, section in enumerate(sections)})
    report = align(folder, tmp_path / "out", registration_size=128 if max(size) > 256 else 1536)
    name = "0" if place == "first" else "1"
    found = statuses(report)
    assert found.pop(name) == "not_registered"
    assert set(found.values()) == {"reference", "registered"}
    message = next(entry["message"] for entry in report["sections"] if entry["section"] == name)
    assert "pixels a side" in message
    image = read_section(tmp_path / "out" / "images" / f"{name}.tif")
    valid = read_section(tmp_path / "out" / "valid" / f"{name}.png")
    assert image.shape == valid.shape == (report["width"], report["height"])
    assert np.count_nonzero(valid) == pytest.approx(np.prod(size), rel=0.35, abs=3)


@pytest.mark.parametrize("size", [(3, 700), (700, 3)])
def test_a_strip_does_not_decide_on_the_resolution_of_the_others(tmp_path: Path, size: tuple[int, int]) -> None:
    sections = {"a.png": imaged(2)[0], "b.png": imaged(3)[0], "c.png": np.resize(imaged(3)[0], size)}
    report = align(write_folder(tmp_path / "in", sections), tmp_path / "out", registration_size=256)
    assert report["registration_scale"] == "1/1"
    assert statuses(report) == {"a": "registered", "b": "reference", "c": "not_registered"}


def test_only_sections_of_few_pixels(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", {f"{i}.png": np.full((2, 3), i, np.uint8) for i in range(3)})
    with pytest.raises(ValueError, match=r"1\.png: .*pixels a side .*2x3"):
        align(folder, tmp_path / "out")


@pytest.mark.parametrize(
    "change",
    [lambda image: image[::-1], lambda image: image[:, ::-1], lambda image: 255 - image],
    ids=["mirrored", "mirrored the other way", "inverted"],
)
def test_a_mirrored_or_inverted_section_is_not_registered(tmp_path: Path, change: Callable) -> None:
    sections = {"a.png": imaged(1)[0], "b.png": imaged(2)[0], "c.png": change(imaged(3)[0]), "d.png": imaged(4)[0]}
    report = align(write_folder(tmp_path / "in", sections), tmp_path / "out", reference=1)
    assert statuses(report) == {"a": "registered", "b": "reference", "c": "not_registered", "d": "registered"}
    assert np.median(errors(tmp_path / "out", "d", "b", *truth(4))) < 0.7


def test_a_turned_section_is_registered(tmp_path: Path) -> None:
    sections = {"a.png": imaged(REFERENCE)[0], "b.png": np.rot90(imaged(3)[0])}
    report = align(write_folder(tmp_path / "in", sections), tmp_path / "out", reference=0)
    assert statuses(report) == {"a": "reference", "b": "registered"}


@pytest.mark.parametrize(
    ("kind", "offset"),
    [
        ("int8", -128),
        ("int32", -(10**6)),
        ("uint32", 0),
        ("uint32", 10**6),
        ("uint64", 2**63),
        ("float32", 1e5),
    ],
)
def test_pixels_of_other_types(three: Path, aligned_three: Path, tmp_path: Path, kind: str, offset: float) -> None:
    sections = {f"section_{i}.tif": (imaged(i)[0].astype(object) + int(offset)).astype(kind) for i in (1, 2, 3)}
    align(write_folder(tmp_path / "in", sections), tmp_path / "out")
    for index in (1, 2, 3):
        image = read_section(tmp_path / "out" / "images" / f"section_{index}.tif")
        valid = read_section(tmp_path / "out" / "valid" / f"section_{index}.png") > 0
        expected = read_section(aligned_three / "images" / f"section_{index}.tif")
        assert image.dtype == kind
        assert image.shape == expected.shape
        difference = (image[valid].astype(object) - int(offset) - expected[valid]).astype(float)
        assert np.abs(difference).mean() < 0.6
        # cubic interpolation overshoots; in 8 bit it is clipped
        assert np.abs(difference[(expected[valid] > 0) & (expected[valid] < 255)]).max() <= 3


def test_a_channel_and_names_that_are_no_utf8(three: Path, aligned_three: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, file in enumerate(sorted(three.iterdir())):
        grey = read_section(file).T
        with open(os.fsencode(tmp_path / "in") + b"/s\xe9%d.tif" % number, "wb") as target:
            tifffile.imwrite(target, np.stack([255 - grey, grey]), imagej=True, metadata={"axes": "CYX"})
    align(find_sections(tmp_path / "in", channel=1), tmp_path / "out")
    expected = sorted((aligned_three / "images").iterdir())
    for file, other in zip(sorted((tmp_path / "out" / "images").iterdir()), expected, strict=True):
        np.testing.assert_array_equal(read_section(file), read_section(other))
    assert r"s\udce90" in (tmp_path / "out" / "report.csv").read_text()
    with pytest.raises(FileExistsError, match="what differs: sections"):
        alignment(find_sections(tmp_path / "in", channel=0), tmp_path / "out").check()
