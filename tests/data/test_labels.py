from __future__ import annotations

import numpy as np
import pytest

from scripts.data import binarize_label


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


@pytest.mark.parametrize("values", [range(256), [0, 1, 1, 255]])
def test_instances_and_several_classes_are_refused(values: list[int]) -> None:
    with pytest.raises(ValueError, match=r"cells.png: \d+% of its labelled pixels lie between"):
        binarize_label(np.array(values), "cells.png")


@pytest.mark.parametrize("values", [[0, 1, 2, 37], [-1, 0, 1], [0, 0.5]])
def test_other_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"cells.png: label values run from .* expected 0/1 or 0/255"):
        binarize_label(np.array(values), "cells.png")
