from __future__ import annotations

import numpy as np
from textures import grey, pixels, texture

from scripts.phantom import PhantomTissue, acquire
from scripts.registration.masks import background_mask, is_noise, widened

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


def test_noise_is_told_from_tissue() -> None:
    rng = np.random.default_rng(0)
    uneven = np.linspace(60, 160, SIZE[0])[:, None] + rng.normal(0, 5, SIZE)
    for noise in (
        rng.normal(200, 2, SIZE),
        rng.normal(128, 40, SIZE),
        np.where(rng.random(SIZE) < 0.01, 255, 90),
        uneven,
    ):
        assert is_noise(np.clip(noise, 0, 255).astype(np.uint8))
    tissue = PhantomTissue(0, (256, 256), 1).section(0)[0]
    for seed in range(3):
        assert not is_noise(acquire(tissue, np.random.default_rng(seed)))
    assert not is_noise(grey(texture(0, SIZE)))
