"""Labels between the frames of the sections and the aligned stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from stacks import FOLDED, loaded, write_folder
from textures import REFERENCE, SIZE, imaged

from scripts.io import read_section, write_section
from scripts.io.volume import Volume
from scripts.registration import Transformation
from scripts.stack import warp_files
from scripts.stack.store import Store

pytestmark = pytest.mark.slow


def labels(index: int) -> np.ndarray:
    """Numbered discs all over a section."""
    x, y = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = np.hypot(x % 40 - 20, y % 40 - 20) < 13
    return np.where(disc, 1 + x // 40 + 10 * (y // 40) + 1000 * index, 0).astype(np.uint16)


def test_labels_come_back_from_the_aligned_stack(aligned: Path, tmp_path: Path) -> None:
    indices = (0, REFERENCE, FOLDED)
    source = write_folder(tmp_path / "in", {f"section_{i}_mitochondria.tif": labels(i) for i in indices})
    warp_files(source, aligned / "transformations", tmp_path / "there", direction="forward")
    size = read_section(aligned / "images" / "section_0.tif").shape
    for index in indices:
        there = read_section(tmp_path / "there" / f"section_{index}_mitochondria.tif")
        assert there.shape == size
        assert there.dtype == np.uint16
        assert set(np.unique(there)) <= set(np.unique(labels(index)))
    warp_files(tmp_path / "there", aligned / "transformations", tmp_path / "back")
    for index in indices:
        original, back = labels(index), read_section(tmp_path / "back" / f"section_{index}_mitochondria.tif")
        assert back.shape == SIZE
        assert back.dtype == np.uint16
        hidden = loaded(aligned, f"section_{index}").fold
        hidden = np.zeros(SIZE, bool) if hidden is None else hidden
        assert not back[hidden].any()
        rim = np.zeros(SIZE, bool)
        for axis in (0, 1):
            rim |= np.roll(original, 1, axis) != original
        rim = binary_dilation(rim | hidden, iterations=2)
        rim[[0, -1]] = rim[:, [0, -1]] = True
        differs = back != original
        if index == FOLDED:  # sides of the fold may overlap in the aligned stack
            assert differs[~rim].mean() < 0.01
        else:
            assert not differs[~rim].any()
        assert back.any()


def test_labels_lie_in_the_aligned_stack_where_their_tissue_does(aligned: Path, tmp_path: Path) -> None:
    """Tissue known in the frame of the reference is labelled in a section; both have to meet there."""
    deformation = imaged(0)[1]
    x, y = np.mgrid[: SIZE[0], : SIZE[1]] + deformation.displacement
    disc = np.hypot(x - 130, y - 90) < 30
    write_section(tmp_path / "in" / "section_0.png", np.where(disc, np.uint8(255), np.uint8(0)))
    warp_files(tmp_path / "in", aligned / "transformations", tmp_path / "out", direction="forward")
    found = read_section(tmp_path / "out" / "section_0.png")
    middle = loaded(aligned, f"section_{REFERENCE}").forward(np.array([[130.0, 90.0]]))[0]
    np.testing.assert_allclose(np.argwhere(found).mean(axis=0), middle, atol=0.7)
    assert np.count_nonzero(found) == pytest.approx(np.pi * 30**2, rel=0.03)


def test_results_for_the_pages_of_a_stack_are_warped(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for page in range(2):
        Transformation.affine((9, 8), np.array([[1.0, 0, page], [0, 1, 0]])).save(tmp_path / f"t/s_{page}.npz", (10, 8))
    pixels = np.arange(160, dtype=np.uint8).reshape(10, 8, 2)
    write_section(tmp_path / "masks" / "s_mitochondria.tif", pixels)
    warp_files(tmp_path / "masks", tmp_path / "t", tmp_path / "out")
    for page in range(2):
        warped = read_section(tmp_path / "out" / f"s_mitochondria_{page}.tif")
        np.testing.assert_array_equal(warped, pixels[page : 9 + page, :, page])


def test_damaged_transformation_is_named(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.npz").write_bytes(b"nothing")
    write_section(tmp_path / "in" / "a.png", np.zeros((9, 8), np.uint8))
    with pytest.raises(ValueError, match=r"a\.npz: is no transformation, or damaged"):
        warp_files(tmp_path / "in", tmp_path / "t", tmp_path / "out")


def shift(folder: Path, pixels: int) -> None:
    """Write the transformation of a section ``a``: a shift in a stack as large as itself."""
    folder.mkdir(exist_ok=True)
    Transformation.affine((9, 8), np.array([[1.0, 0, pixels], [0, 1, 0]])).save(folder / "a.npz", (9, 8))


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({"direction": "forward"}, "direction"),
        ({"interpolation": "cubic", "direction": "forward"}, "direction and interpolation"),
        ("label", "source"),
        ("transformation", "transformation"),
    ],
)
def test_results_of_something_else_are_not_left_for_those_of_now(
    tmp_path: Path, change: str | dict, differing: str
) -> None:
    """Both directions have one default folder, and here sizes tell nothing."""
    label = np.arange(72, dtype=np.uint8).reshape(9, 8)
    shift(tmp_path / "t", 1)
    write_section(tmp_path / "in" / "a.tif", label)
    arguments = {"source": tmp_path / "in", "transformations_dir": tmp_path / "t", "output_dir": tmp_path / "out"}
    warp_files(**arguments)
    before = read_section(tmp_path / "out" / "a.tif")
    inode = (tmp_path / "out" / "a.tif").stat().st_ino
    warp_files(**arguments)
    assert (tmp_path / "out" / "a.tif").stat().st_ino == inode
    if change == "label":
        write_section(tmp_path / "in" / "a.tif", label[::-1].copy())
    elif change == "transformation":
        shift(tmp_path / "t", 2)
    else:
        arguments |= change
    message = rf"a\.tif: must be made of what is warped now, but differs in {differing};"
    with pytest.raises(FileExistsError, match=message):
        warp_files(**arguments)
    np.testing.assert_array_equal(read_section(tmp_path / "out" / "a.tif"), before)
    warp_files(**arguments, overwrite=True)
    warp_files(**{**arguments, "output_dir": tmp_path / "fresh"})
    fresh = read_section(tmp_path / "fresh" / "a.tif")
    assert (fresh != before).any()
    np.testing.assert_array_equal(read_section(tmp_path / "out" / "a.tif"), fresh)


def test_an_output_folder_with_links_to_the_pictures(tmp_path: Path) -> None:
    shift(tmp_path / "t", 1)
    write_section(tmp_path / "raw" / "a.png", np.zeros((9, 8), np.uint8))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "raw" / "a.png")
    for output in ("in", "raw"):
        with pytest.raises(
            ValueError, match=rf"{output}: the output folder holds the file .*a\.png; choose another one"
        ):
            warp_files(tmp_path / "in", tmp_path / "t", tmp_path / output, overwrite=True)
    assert not read_section(tmp_path / "raw" / "a.png").any()


@pytest.mark.parametrize("mask", ["images_mitochondria.tif", "images.zarr/labels/mitochondria"])
def test_masks_of_a_volume_of_aligned_sections_come_back(tmp_path: Path, mask: str) -> None:
    """Its planes are in the order of the stack, which their names do not show."""
    names = ("b", "c", "a")
    for shift, name in enumerate(names):
        path = tmp_path / "aligned" / "transformations" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        Transformation.affine((9, 8), np.array([[1.0, 0, shift], [0, 1, 0]])).save(path, (11, 8))
    Store(tmp_path / "aligned", "zarr").save_order(names)
    pixels = np.arange(264, dtype=np.uint32).reshape(11, 8, 3)
    if mask.endswith("tif"):
        write_section(tmp_path / "in" / mask, pixels.astype(np.uint16), result=True)
    else:
        Volume.create(tmp_path / "in" / "images.zarr", (3, 8, 11), np.uint8).complete()
        labels = Volume.create_labels(tmp_path / "in" / "images.zarr", "mitochondria", (3, 8, 11))
        for page in range(3):
            labels.write(page, pixels[..., page].T)
        labels.complete()
    warp_files(tmp_path / "in" / mask, tmp_path / "aligned" / "transformations", tmp_path / "out")
    for page, name in enumerate(names):
        warped = read_section(tmp_path / "out" / f"{name}_mitochondria.tif")
        np.testing.assert_array_equal(warped, pixels[page : 9 + page, :, page])


def test_a_stack_that_was_moved_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    shift(tmp_path / "a" / "t", 1)
    write_section(tmp_path / "a" / "in" / "a.tif", np.arange(72, dtype=np.uint8).reshape(9, 8))
    warp_files(tmp_path / "a" / "in", tmp_path / "a" / "t", tmp_path / "a" / "out")
    (tmp_path / "a").rename(tmp_path / "b")
    inode = (tmp_path / "b" / "out" / "a.tif").stat().st_ino
    warp_files(tmp_path / "b" / "in", tmp_path / "b" / "t", tmp_path / "b" / "out")
    assert (tmp_path / "b" / "out" / "a.tif").stat().st_ino == inode
