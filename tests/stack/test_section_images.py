from __future__ import annotations

import numpy as np
from textures import changing_texture

from scripts.stack.images import to_eight_bit


def test_a_white_margin_does_not_flatten_the_tissue() -> None:
    section = changing_texture(0)
    section = (60 + (section - section.min()) / np.ptp(section) * 90).astype(np.uint8)
    alone = to_eight_bit(section, 1)
    image = np.full((2 * section.shape[0], section.shape[1]), 255, np.uint8)
    image[: section.shape[0]] = section
    stretched = to_eight_bit(image, 1)[: section.shape[0]]
    assert np.abs(stretched.astype(int) - alone).max() <= 8
