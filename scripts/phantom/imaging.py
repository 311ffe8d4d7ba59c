"""The microscope: a picture of an ideal section."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["acquire"]

FloatArray = NDArray[np.floating]


def acquire(section: FloatArray, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Image an ideal section as a microscope does, each time with other settings.

    Blur of the beam, uneven brightness, contrast, brightness and gamma drawn per section, shot noise, 8 bits.

    Args:
        section: grey level (width, height), 0 black to 1 white.
        rng: source of the settings and of the noise.

    Returns:
        The picture, uint8 (width, height).
    """
    image = gaussian_filter(np.asarray(section, np.float64), rng.uniform(0.6, 1.0))
    slope = rng.uniform(-0.06, 0.06, 2)
    gradient = slope[0] * np.linspace(-1, 1, image.shape[0])[:, None] + slope[1] * np.linspace(-1, 1, image.shape[1])
    image = np.clip(image, 0.01, 1) ** rng.uniform(0.75, 1.35)
    image = 0.5 + rng.uniform(-0.12, 0.12) + rng.uniform(0.65, 1.15) * (image - 0.5) + gradient
    noise = gaussian_filter(rng.normal(size=image.shape), 0.5)
    image += rng.uniform(0.04, 0.08) * np.sqrt(np.clip(image, 0.05, 1)) * noise / 0.55
    return np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)
