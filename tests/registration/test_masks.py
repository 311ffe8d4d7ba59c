from __future__ import annotations

import numpy as np
from textures import grey, pixels, texture

from scripts.registration.masks import background_mask, widened

SIZE = (360, 300)


def test_missing_tissue_is_where_there_is_no_contrast() -> None:
    image = grey(texture(0, SIZE))
    assert not background_mask(image).any()
    image[100:200, 50:250] = 190
    missing = background_mask(image)
    assert missing.shape == SIZE
    assert missing[108:192, 58:242].all()
    missing[100:200, 50:250] = False
    assert not missing.any()


def test_widened_takes_in_what_is_near() -> None:
    mask = np.zeros((60, 40), bool)
    mask[30, 20] = True
    distance = np.linalg.norm(pixels((60, 40)) - (30, 20), axis=-1)
    wide = widened(mask, 6)
    assert wide.dtype == bool
    assert wide[distance <= 5].all()
    assert not wide[distance > 7.5].any()
    np.testing.assert_array_equal(widened(mask, 0), mask)
