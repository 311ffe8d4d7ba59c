from __future__ import annotations

import numpy as np
import pytest

from scripts.instances import count_pixels, numbers, renumber


@pytest.mark.parametrize("chunk", [1, 100, 10**6])
def test_as_numpy_does_it_at_once(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(numbers, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    for shape in ((40, 23), (1, 900), (7, 0)):
        labels = rng.integers(0, 50, shape).astype(np.int32)
        np.testing.assert_array_equal(count_pixels(labels), np.bincount(labels.ravel(), minlength=1))
        for table in (rng.integers(0, 9, 50).astype(np.int32), rng.random(50) > 0.5):
            found = renumber(labels, table)
            np.testing.assert_array_equal(found, table[labels])
            assert found.dtype == table.dtype
