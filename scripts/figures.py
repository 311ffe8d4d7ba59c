"""Pictures of sections and results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scripts.io import MARK, write_atomically

__all__ = ["COLOURS", "hide_outside", "overlay", "save_picture"]

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


def save_picture(picture: np.ndarray, path: str | Path) -> None:
    """Write a picture in the format of its suffix, complete or not at all; a PNG is marked as a result, and no section.

    Args:
        picture: uint8, (width, height, 3) or (width, height).
        path: file to write.
    """
    text = PngInfo()
    text.add_text("Software", MARK)  # which formats other than PNG do not know
    write_atomically(path, lambda target: Image.fromarray(np.swapaxes(picture, 0, 1)).save(target, pnginfo=text))
