from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from scripts.io import binarize_label, read_section

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 1], [0, 1, 1]),
        ([0, 127, 128, 255, 255, 255, 255, 255, 255], [0, 0, 1, 1, 1, 1, 1, 1, 1]),
        ([0, 32767, 65535, 65535, 65535, 65535], [0, 0, 1, 1, 1, 1]),
        ([0, 0], [0, 0]),
    ],
)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_masks(values: list[int], expected: list[int], dtype: str) -> None:
    label = binarize_label(np.array(values, dtype))
    assert label.dtype == np.uint8
    assert label.tolist() == expected


def test_eight_bit_mask_does_not_overflow() -> None:
    assert binarize_label(np.array([0, 127, 255, 255, 255, 255], np.uint8)).tolist() == [0, 0, 1, 1, 1, 1]


def test_float_mask_is_cut_at_half() -> None:
    """A smooth mask, as an annotation tool or another network writes it, ends where the sharp one does."""
    stripe = np.zeros((64, 64), np.float32)
    stripe[20:40] = 1
    smooth = gaussian_filter(stripe, 2)
    assert np.array_equal(binarize_label(smooth / smooth.max()), stripe)
    assert np.array_equal(binarize_label(0.98 * smooth), smooth >= 0.5 / 0.98), "a mask that does not reach 1"
    assert np.array_equal(binarize_label(smooth.astype(np.float16)), smooth.astype(np.float16) >= 0.5)
    assert binarize_label(np.array([0, 0.49, 0.5, 1], np.float32)).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("values", [range(256), [0, 1, 7, 255]])
def test_undeclared_instances_are_refused(values: list[int]) -> None:
    with pytest.raises(
        ValueError, match=r'cells.png: \d+% of its labelled pixels lie between .* "label_format": "inst'
    ):
        binarize_label(np.array(values), "cells.png")


@pytest.mark.parametrize("values", [[0, 1, 2, 37], [-1, 0, 1], [0, 0.5]])
def test_other_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"cells.png: label values run from .* expected 0/1 or 0/255.*label_format"):
        binarize_label(np.array(values), "cells.png")


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_pixels_to_ignore_are_refused(classes: int, dtype: str) -> None:
    """Nothing tells the 255 of nnU-Net, where it is to be ignored, from a mitochondrion but the classes beside it."""
    label = np.zeros((1, 40, 40), dtype)
    label[:, 20:] = 255
    for number in range(classes):  # few pixels, which would be lost
        label[0, 4 : 4 + 4, 8 * number : 8 * number + 4] = number + 1
    with pytest.raises(ValueError, match=r"cells.png: holds 1.* beside 255: .* pixels to ignore .*ignore_value.*"):
        binarize_label(label, "cells.png")


def test_soft_border_may_hold_a_one() -> None:
    """As a mask of the public VNC set does."""
    label = np.zeros((40, 40), np.uint8)
    label[10:30, 10:30] = 255
    label[10, 9] = label[30, 12] = 1
    assert np.array_equal(binarize_label(label), label == 255)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_declared_instances(dtype: str) -> None:
    values = [0, 1, 2, 255, 0, 7] if dtype == "uint8" else [0, 1, 2, 255, 0, 40000]
    assert binarize_label(np.array(values, dtype), label_format="instances").tolist() == [0, 1, 1, 1, 0, 1]


@pytest.mark.parametrize("values", [[-1, 0, 3], [0, 0.5, 3]])
def test_faulty_instances(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"cells.png: label values run from .* instances are whole numbers"):
        binarize_label(np.array(values), "cells.png", "instances")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real data sets in ../shared/data")
def test_real_labels() -> None:
    """Masks of three sets, some of them with soft borders, and instances that are the masks' large objects."""
    sets = "drosophila_vnc/stack1/mitochondria", "sbem_brain/labels", "epfl_hippocampus/labels"
    for path in (path for name in sets for path in sorted((DATA / name).iterdir())):
        label = read_section(path)
        assert np.array_equal(binarize_label(label, str(path)), label > label.max() // 2)
    path = DATA / "epfl_hippocampus/instances/099.png"
    instances = read_section(path)
    with pytest.raises(ValueError, match=r'099.png: .*"label_format": "instances"'):
        binarize_label(instances, str(path))
    mask = binarize_label(read_section(DATA / "epfl_hippocampus/labels/099.png"))
    found = binarize_label(instances, str(path), "instances")
    assert not (found > mask).any()
    assert found.sum() > 0.9 * mask.sum()
