"""Pictures of sections and results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage.color import hsv2rgb
from skimage.segmentation import find_boundaries

from scripts.io import MARK, write_atomically

__all__ = ["COLOURS", "colours_of", "hide_outside", "overlay", "paint_instances", "save_picture", "stretched"]

COLOURS = {"true": (0, 158, 115), "missed": (0, 114, 178), "false": (213, 94, 0)}
"""Green, blue and vermilion of Okabe and Ito, which colour-blind people tell apart."""


def overlay(image: np.ndarray, label: np.ndarray, prediction: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Lay found, missed and falsely found pixels over a section.

    Args:
        image: grey levels in [0, 1], (width, height).
        label: bool, (width, height).
        prediction: bool, (width, height).
        opacity: of the colours, from 0 to 1.

    Returns:
        uint8 picture (width, height, 3): true in green, missed in blue, false in vermilion.
    """
    # 8 bit from the start: a whole section in floating-point colours takes gigabytes
    grey = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=-1)
    for kind, where in (("true", label & prediction), ("missed", label & ~prediction), ("false", prediction & ~label)):
        picture[where] = (1 - opacity) * picture[where] + opacity * np.array(COLOURS[kind])
    return picture


def hide_outside(image: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """Show what is no tissue in white: the network saw a mirror image of tissue there.

    Args:
        image: grey levels in [0, 1], (width, height).
        tissue: bool, (width, height).

    Returns:
        Grey levels in [0, 1], (width, height).
    """
    return np.where(tissue, image, np.float32(1))


def stretched(section: np.ndarray) -> np.ndarray:
    """Stretch grey levels for a picture: the darkest and the brightest half percent become black and white.

    Args:
        section: grey levels, of any shape and real dtype.

    Returns:
        uint8, of the same shape.
    """
    grey = section.astype(np.float32)
    low, high = np.quantile(grey, [0.005, 0.995])
    return (255 * np.clip((grey - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)


def colours_of(count: int) -> np.ndarray:
    """Choose colours that neighbouring numbers do not share.

    Args:
        count: of objects.

    Returns:
        uint8 (count + 1, 3); the first is for the background.
    """
    number = np.arange(count + 1)
    hue = (number * 0.61803398875) % 1  # the golden ratio spreads any run of numbers over the circle
    value = np.where(number % 2, 0.95, 0.75)
    colours = hsv2rgb(np.stack([hue, np.full(count + 1, 0.75), value], axis=-1)[None])[0]
    return (255 * colours).round().astype(np.uint8)


def paint_instances(grey: np.ndarray, numbers: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Lay numbered objects over a section, half transparent with full outlines.

    Args:
        grey: uint8 of two dimensions.
        numbers: of the objects, 0 in the background, of the same shape.
        colours: uint8 (highest number + 1, 3), see `colours_of`.

    Returns:
        uint8 picture with a third axis for colours.
    """
    picture = np.repeat(grey[..., None], 3, axis=-1)
    inside = numbers > 0
    picture[inside] = picture[inside] // 2 + colours[numbers[inside]] // 2
    edges = find_boundaries(numbers, mode="inner")
    picture[edges] = colours[numbers[edges]]
    return picture


def save_picture(picture: np.ndarray, path: str | Path) -> None:
    """Write a picture in the format of its suffix, complete or not at all; a PNG is marked as a result, and no section.

    Args:
        picture: uint8, (width, height, 3) or (width, height).
        path: file to write.
    """
    text = PngInfo()
    text.add_text("Software", MARK)  # which formats other than PNG do not know
    write_atomically(path, lambda target: Image.fromarray(np.swapaxes(picture, 0, 1)).save(target, pnginfo=text))
