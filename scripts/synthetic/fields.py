"""Random fields: periodic noise textures, made once in a process, from which every section takes cuts of its own.

To draw fresh correlated noise for every section would cost more than all the rest of it. A texture of 1024 x 1024
pixels is made once from a fixed seed; a cut is shifted, turned, mirrored and scaled at random, and cuts are added and
multiplied, so that no two sections show the same pattern.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["PERIOD", "TEXTURE_DEVIATION", "cut", "smooth_field", "texture"]

TextureName = Literal["grain", "cloud", "labyrinth", "lamellae"]
TEXTURE_SIZE = 1024
LARGE = 200_000  # pixels
TEXTURE_DEVIATION = 42.0  # grey levels around 128, so that 3 deviations are inside 8 bit
PERIOD = 16.0  # pixels from line to line in "labyrinth" and "lamellae"; correlation length of "grain" is 2 pixels


@lru_cache(maxsize=8)
def texture(name: TextureName) -> NDArray[np.uint8]:
    """Return one of the periodic noise textures, filtered in the frequency domain from white noise of a fixed seed.

    Args:
        name: ``grain``: noise of a correlation length of 2 pixels; ``cloud``: noise of all wavelengths (1/f);
            ``labyrinth``: winding lines, band-passed noise; ``lamellae``: the same with lines along the first axis of
            the picture (x), as a fingerprint or a stack of membranes shows them.

    Returns:
        uint8 (1024, 1024), mean 128, standard deviation `TEXTURE_DEVIATION`.
    """
    rng = np.random.default_rng(["grain", "cloud", "labyrinth", "lamellae"].index(name))
    spectrum = np.fft.rfft2(rng.standard_normal((TEXTURE_SIZE, TEXTURE_SIZE)))
    ky = np.fft.fftfreq(TEXTURE_SIZE)[:, None]
    kx = np.fft.rfftfreq(TEXTURE_SIZE)[None]
    k = np.hypot(kx, ky)
    if name == "grain":
        weight = np.exp(-2 * np.square(np.pi * 1.2 * k))
    elif name == "cloud":
        weight = np.exp(-2 * np.square(np.pi * 1.2 * k)) / np.maximum(k, 1 / 128) ** 1.1
    else:
        weight = np.exp(-0.5 * np.square((k - 1 / PERIOD) / (0.2 / PERIOD)))
        if name == "lamellae":
            weight = weight * np.exp(-0.5 * np.square(np.arctan2(kx, np.abs(ky)) / 0.25))
    weight.flat[0] = 0
    field = np.fft.irfft2(spectrum * weight, s=(TEXTURE_SIZE, TEXTURE_SIZE))
    field *= TEXTURE_DEVIATION / field.std()
    return np.clip(np.rint(field + 128), 0, 255).astype(np.uint8)


def cut(
    name: TextureName, rng: np.random.Generator, shape: tuple[int, int], scale: float = 1.0, angle: float | None = None
) -> NDArray[np.uint8]:
    """Take a random cut of a texture.

    Args:
        name: see `texture`.
        rng: source of the position, and of the angle if none is given.
        shape: rows and columns of the cut.
        scale: pixels of the cut for each pixel of the texture.
        angle: by which the texture is turned, in radians, from x to y; at random by default.

    Returns:
        uint8 of that shape, mean about 128.
    """
    x, y = rng.uniform(0, TEXTURE_SIZE, 2)
    turned = rng.uniform(0, 2 * np.pi)
    needed = (int(np.ceil(shape[0] / scale)), int(np.ceil(shape[1] / scale)))
    if angle is None and shape[0] * shape[1] > LARGE and max(needed) <= TEXTURE_SIZE:
        # a crop, mirrored at random, is ten times cheaper than a turned one
        crop = _tiled(name)[int(y) : int(y) + needed[0], int(x) : int(x) + needed[1]]
        crop = crop[:: 1 if turned < np.pi else -1, :: 1 if turned % np.pi < np.pi / 2 else -1]
        if needed == shape:
            return np.ascontiguousarray(crop)
        return cv2.resize(np.ascontiguousarray(crop), shape[::-1], interpolation=cv2.INTER_LINEAR)
    angle = turned if angle is None else angle
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    matrix = np.array([[cosine, sine, x], [-sine, cosine, y]])
    return cv2.warpAffine(
        texture(name),
        matrix,
        shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )


@lru_cache(maxsize=2)
def _tiled(name: TextureName) -> NDArray[np.uint8]:
    return np.tile(texture(name), (2, 2))


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], wavelength: float) -> NDArray[np.float32]:
    """Draw a smooth random field: white noise on a grid of that spacing, interpolated with cubic splines.

    Args:
        rng: source of the noise.
        shape: rows and columns.
        wavelength: spacing of the grid in pixels; the field varies over about twice that.

    Returns:
        float32 of that shape, of about zero mean and unit variance.
    """
    if wavelength >= 16 and min(shape) >= 16:  # so smooth that a quarter of the pixels is enough
        small = smooth_field(rng, (-(-shape[0] // 4), -(-shape[1] // 4)), wavelength / 4)
        return cv2.resize(small, shape[::-1], interpolation=cv2.INTER_LINEAR)
    nodes = tuple(int(np.ceil(n / wavelength)) + 4 for n in shape)
    coarse = rng.standard_normal(nodes, dtype=np.float32)
    x, y = rng.uniform(1, 2, 2)
    matrix = np.array([[1 / wavelength, 0, x], [0, 1 / wavelength, y]])
    field = cv2.warpAffine(coarse, matrix, shape[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    return field * np.float32(1.35)  # interpolation between the nodes takes variance away
