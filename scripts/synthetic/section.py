"""One synthetic section: its parameters, its tissue, its picture."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas
from .imaging import Imaging, acquire
from .layouts import LAYOUTS
from .styles import KINDS, random_mitochondria, random_palette

__all__ = ["synthetic_section"]

OVERSAMPLING = 1.5  # pixels of the fine grid for each pixel of the section, along each side


def synthetic_section(
    seed: int | np.random.SeedSequence,
    size: tuple[int, int] = (512, 512),
    pixel_size: float = 10.0,
    kind: str | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], dict[str, Any]]:
    """Draw a section of tissue whose mitochondria are known.

    Every section draws all of its parameters anew: kind of tissue, stain, cells, organelles, microscope (domain
    randomisation, Tobin et al. 2017). Structures are in nanometres: a section of the same extent at another pixel size
    shows about the same tissue.

    Args:
        seed: whole number from 0 on, or what numpy makes of one; the same seed gives the same bytes.
        size: width and height in pixels, at least 32 each.
        pixel_size: nm a pixel, 2 to 40; from 4 to 20 the structures look as they should.
        kind: one of `KINDS`; drawn with their weights by default.

    Returns:
        The picture, uint8 (width, height); its label, uint8 of the same shape, 1 in mitochondria (outer membrane
        included) and 0 elsewhere; and the parameters by name, with the kind of tissue as ``kind``.

    Raises:
        ValueError: if an argument is out of its range.
    """
    if not isinstance(seed, np.random.SeedSequence) and (isinstance(seed, bool) or int(seed) != seed or seed < 0):
        raise ValueError(f"seed must be a whole number from 0 on, but got {seed!r}")
    if len(size) != 2 or any(int(n) != n or n < 32 for n in size):
        raise ValueError(f"size must be two whole numbers from 32 on, but got {size!r}")
    if not 2 <= pixel_size <= 40:
        raise ValueError(f"pixel_size must lie in 2 .. 40 nm, but got {pixel_size!r}")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, but got {kind!r}")
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(int(seed))
    # `generate_state` does not change the sequence, as `spawn` would
    style_rng, tissue_rng, camera_rng = (np.random.default_rng([*sequence.generate_state(4), i]) for i in range(3))

    drawn = str(style_rng.choice(list(KINDS), p=list(KINDS.values())))
    kind = kind or drawn
    palette = random_palette(style_rng)
    style = random_mitochondria(style_rng, palette, kind)
    imaging = Imaging.random(style_rng)

    width, height = int(size[0]), int(size[1])
    canvas = Canvas((width * pixel_size, height * pixel_size), pixel_size / OVERSAMPLING, int(palette.outside))
    numbers = LAYOUTS[kind](canvas, tissue_rng, palette, style)
    ideal = cv2.resize(canvas.grey, (width, height), interpolation=cv2.INTER_AREA)
    label = cv2.resize(canvas.label, (width, height), interpolation=cv2.INTER_AREA)
    picture, label = acquire(ideal, cv2.threshold(label, 127, 1, cv2.THRESH_BINARY)[1], imaging, camera_rng)
    parameters = {
        "kind": kind,
        "pixel_size_nm": pixel_size,
        "tissue": numbers,
        "palette": asdict(palette),
        "mitochondria": asdict(style),
        "imaging": asdict(imaging),
    }
    return np.ascontiguousarray(picture.T), np.ascontiguousarray(label.T), parameters
