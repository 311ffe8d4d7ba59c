from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.transforms import HistogramNormalize
from PIL import Image

from scripts.config import first_cause
from scripts.io import find_sections, read_header, read_section, split_suffix, write_result, write_section


@pytest.fixture
def infer(run_config: Callable, weights: Path, tmp_path: Path) -> Callable:
    def run(source: object, **overrides: object) -> Path:
        output = tmp_path / "output"
        settings = {"dataset_dir": str(source), "output_dir": str(output), "checkpoint": str(weights), **overrides}
        run_config("inference", **settings)
        return output

    return run


PLAIN = {"use_crf": False, "threshold_without_crf": 0.5}


@pytest.fixture
def dark_pixels(tmp_path: Path) -> dict:
    """Settings for a network that takes each dark pixel for a mitochondrion."""
    weights = {"weight": torch.tensor([100.0, -100.0]).reshape(2, 1, 1, 1), "bias": torch.tensor([-50.0, 50.0])}
    torch.save(weights, tmp_path / "dark.pt")
    network = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": 1}
    return {"checkpoint": str(tmp_path / "dark.pt"), "network_def": network, "width": 0.5, **PLAIN}


@pytest.mark.slow
def test_every_format_gives_the_same_mask(
    infer: Callable, dark_pixels: dict, tiny_phantom: Path, tmp_path: Path
) -> None:
    pixels = read_section(sorted((tiny_phantom / "images").iterdir())[0])[:, :80]  # width and height differ
    names = {"a.png": "uint8", "b.tif": "float32", "c.nii.gz": "int16", "d.nrrd": "uint16", "e.tiff": "uint8"}
    for name, dtype in names.items():
        write_section(tmp_path / "in" / name, pixels.astype(dtype))
    output = infer(tmp_path / "in", save_probability=True, **dark_pixels)
    masks = [read_section(output / name.replace(".", "_mitochondria.", 1)) for name in names]
    for mask in masks:
        assert mask.shape == (96, 80)
        assert set(np.unique(mask)) == {0, 255}
        np.testing.assert_array_equal(mask, masks[0])
    probability = read_section(output / "a_probability.tif")
    np.testing.assert_array_equal(probability >= 0.5, masks[0] > 0)
    assert 0 <= probability.min() < probability.max() <= 1


def test_files_of_other_programs_give_the_same_mask(
    infer: Callable, dark_pixels: dict, tiny_phantom: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.ascontiguousarray(read_section(sorted((tiny_phantom / "images").iterdir())[0])[:, :80].T)
    folder = tmp_path / "in"
    write_section(folder / "plain.png", pixels.T)
    grey = np.repeat((np.arange(256, dtype=np.uint16) * 257)[None], 3, axis=0)
    tifffile.imwrite(folder / "inverted.tif", 255 - pixels, photometric="miniswhite")
    tifffile.imwrite(folder / "table.tif", pixels, photometric="palette", colormap=grey)
    tifffile.imwrite(folder / "signed.tif", pixels.astype(np.int32) * 1000 - 70_000, tile=(32, 32), compression="zstd")
    two = {"photometric": "minisblack", "metadata": {"axes": "CYX"}}
    tifffile.imwrite(folder / "channels.ome.tif", np.stack([pixels, 255 - pixels]), **two)
    (folder / "raw").write_bytes(pixels.tobytes())
    fields = "NRRD0004\ntype: uint8\ndimension: 2\nsizes: 96 80\nencoding: raw\ndata file: raw\n"
    (folder / "detached.nhdr").write_text(fields)
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, 96, 80, 1, 6)
    struct.pack_into("<3i3f3f3i", header, 28, 96, 80, 1, 4800, 4000, 500, 90, 90, 90, 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\0\0"
    (folder / "camera.mrc").write_bytes(bytes(header) + (pixels.astype("<u2") * 257).tobytes())
    write_section(folder / "constant.png", np.full((96, 80), 9, np.uint8))
    output = infer(folder, pixel_size=5.0, channel=0, **dark_pixels)
    results = ("inverted.tif", "table.tif", "signed.tif", "channels.ome.tif", "detached.nrrd", "camera.tif")
    expected = read_section(output / "plain_mitochondria.png")
    assert set(np.unique(expected)) == {0, 255}
    for name in results:
        stem, suffix = split_suffix(name)
        np.testing.assert_array_equal(read_section(output / f"{stem}_mitochondria{suffix}"), expected)
    assert len(os.listdir(output)) == 7 + 1  # what made them
    assert "constant.png: is a constant image" in caplog.text


def test_channels_have_to_be_chosen(infer: Callable, dark_pixels: dict, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    two = np.random.default_rng(0).integers(0, 255, (2, 64, 64), np.uint8)
    options = {"photometric": "minisblack", "metadata": {"axes": "CYX"}}
    tifffile.imwrite(tmp_path / "in" / "a.ome.tif", two, **options)
    with pytest.raises(RuntimeError) as error:
        infer(tmp_path / "in", **dark_pixels)
    assert isinstance(first_cause(error.value), ValueError)
    assert "a.ome.tif: has 2 channels" in str(first_cause(error.value))


def test_stack_and_single_sections_agree(infer: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    sections = [read_section(path) for path in sorted((tiny_phantom / "images").iterdir())[:2]]
    write_section(tmp_path / "in" / "stack.tif", np.stack(sections, axis=-1))
    for number, pixels in enumerate(sections):
        write_section(tmp_path / "in" / f"single{number}.png", pixels)
    output = infer(tmp_path / "in", use_crf=False)
    assert read_header(output / "stack_mitochondria.tif").size == read_header(tmp_path / "in" / "stack.tif").size
    for number in range(2):
        single = read_section(output / f"single{number}_mitochondria.png")
        np.testing.assert_array_equal(read_section(output / "stack_mitochondria.tif", number), single)


@pytest.mark.parametrize("change", [{"threshold_without_crf": 0.8}, {"batch_size": 2}])
def test_a_stack_goes_on_only_as_it_was_begun(
    infer: Callable,
    dark_pixels: dict,
    tiny_phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict,
) -> None:
    """With another threshold it is refused, or begun anew; what changes no mask lets the run go on."""
    sections = [read_section(path) for path in sorted((tiny_phantom / "images").iterdir())[:3]]
    write_section(tmp_path / "in" / "stack.tif", np.stack(sections, axis=-1))
    written, last = [], 0

    def writing(path: Path, page: int, *arguments: object) -> bool:
        if page > last:
            raise OSError("stopped")
        written.append(page)
        return write_result(path, page, *arguments)

    monkeypatch.setattr("scripts.transforms.save.write_result", writing)
    settings = {**dark_pixels, "threshold_without_crf": 0.3}
    with pytest.raises(RuntimeError):
        infer(tmp_path / "in", **settings)
    last = 2
    settings |= change
    if "batch_size" not in change:
        with pytest.raises(RuntimeError) as error:
            infer(tmp_path / "in", **settings)
        assert isinstance(first_cause(error.value), FileExistsError)
        settings["overwrite"] = True
    output = infer(tmp_path / "in", **settings)
    assert written == ([0, 1, 2] if "batch_size" in change else [0, 0, 1, 2])
    infer(tmp_path / "in", **settings, output_dir=str(tmp_path / "whole"))
    for page in range(3):
        mask = read_section(tmp_path / "whole" / "stack_mitochondria.tif", page)
        np.testing.assert_array_equal(read_section(output / "stack_mitochondria.tif", page), mask)


def test_large_stacks_are_checked_by_their_headers(
    infer: Callable, dark_pixels: dict, tiny_phantom: Path, tmp_path: Path
) -> None:
    names = ["a", "b", "c", "d"]
    for name, source in zip(names, sorted((tiny_phantom / "images").iterdir()), strict=False):
        write_section(tmp_path / "in" / f"{name}.png", read_section(source))
    whole = infer(tmp_path / "in", **dark_pixels)
    expected = {name: (whole / f"{name}_mitochondria.png").read_bytes() for name in names}
    write_section(tmp_path / "in" / "b.png", np.full((96, 96), 7, np.uint8))  # blank
    damaged = (tmp_path / "in" / "c.png").read_bytes()
    (tmp_path / "in" / "c.png").write_bytes(damaged[: len(damaged) // 2])
    settings = {**dark_pixels, "output_dir": str(tmp_path / "large"), "num_workers": 0}
    with pytest.raises(RuntimeError) as before:
        infer(tmp_path / "in", **settings)
    assert "c.png" in str(first_cause(before.value))
    assert not list((tmp_path / "large").glob("*"))
    with pytest.raises(RuntimeError) as amid:
        infer(tmp_path / "in", **settings, check_bytes=4 * 96 * 96 - 1)
    assert "c.png" in str(first_cause(amid.value))
    assert (tmp_path / "large" / "a_mitochondria.png").read_bytes() == expected["a"]
    assert not read_section(tmp_path / "large" / "b_mitochondria.png").any()
    assert not (tmp_path / "large" / "c_mitochondria.png").exists()
    (tmp_path / "in" / "c.png").write_bytes(damaged)
    infer(tmp_path / "in", **settings, check_bytes=0)
    for name in "acd":
        assert (tmp_path / "large" / f"{name}_mitochondria.png").read_bytes() == expected[name]


def test_finished_sections_are_not_done_again(infer: Callable, tiny_phantom: Path) -> None:
    images = str(tiny_phantom / "images" / "test_*.png")
    output = infer(images)
    note, *results = sorted(output.iterdir())
    assert note.name == ".made_of.jsonl"
    assert len(results) == len(find_sections(images)) == 2
    os.remove(results[0])
    os.utime(results[1], (0, 0))
    infer(images)
    assert results[0].exists()
    assert results[1].stat().st_mtime == 0
    infer(images, overwrite=True)
    assert results[1].stat().st_mtime > 0


def test_a_corrected_mask_is_not_lost_when_more_is_asked_for(infer: Callable, tiny_phantom: Path) -> None:
    image = tiny_phantom / "images" / "test_000.png"
    output = infer(image, use_crf=False)
    corrected = np.full((96, 96), 255, np.uint8)
    write_section(output / "test_000_mitochondria.png", corrected)
    infer(image, use_crf=False, save_probability=True)
    assert (output / "test_000_probability.tif").exists()
    np.testing.assert_array_equal(read_section(output / "test_000_mitochondria.png"), corrected)


def test_mask_lies_where_the_network_saw_it(
    infer: Callable, dark_pixels: dict, tiny_phantom: Path, tmp_path: Path
) -> None:
    """Any turn, shift or swap of axes would show."""
    pixels = read_section(sorted((tiny_phantom / "images").iterdir())[0])[:, :80]
    write_section(tmp_path / "in" / "a.png", pixels)
    output = infer(tmp_path / "in", **dark_pixels)
    equalised = HistogramNormalize(num_bins=4096, min=0, max=1)(pixels.astype("float32"))
    np.testing.assert_array_equal(read_section(output / "a_mitochondria.png") > 0, np.asarray(equalised) < 0.5)


@pytest.mark.parametrize("case", ["missing", "empty", "truncated", "colour", "constant"])
def test_bad_input_leaves_no_result(infer: Callable, tmp_path: Path, case: str) -> None:
    source = tmp_path / "in"
    if case != "missing":
        source.mkdir()
    if case == "truncated":
        write_section(source / "a.png", np.random.default_rng(0).integers(0, 255, (90, 90)).astype("uint8"))
        os.truncate(source / "a.png", 3000)
    if case == "constant":
        write_section(source / "a.png", np.full((90, 90), 9, np.uint8))
    if case == "colour":
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3)).astype("uint8")).save(source / "a.png")
    with pytest.raises(RuntimeError) as caught:
        infer(source)
    cause = first_cause(caught.value)
    expected = {
        "missing": "in: no such file or folder",
        "empty": "in: no sections found",
        "truncated": "a.png: cannot be read",
        "colour": "a.png: is a colour image",
        "constant": "a.png: is a constant image, all its pixels are 9",
    }
    assert expected[case] in str(cause)
    assert not list((tmp_path / "output").glob("*"))


def test_weights_are_missing(infer: Callable, tiny_phantom: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        infer(tiny_phantom / "images", checkpoint=str(tmp_path / "none.pt"))
    assert "none.pt: no such file of weights" in str(first_cause(caught.value))


@pytest.mark.parametrize("name", ["threshold", "threshold_without_crf"])
def test_threshold_out_of_range(infer: Callable, tiny_phantom: Path, name: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        infer(tiny_phantom / "images", **{name: 128})
    assert f"{name} must be a number between 0 and 1, but got 128" in str(first_cause(caught.value))
