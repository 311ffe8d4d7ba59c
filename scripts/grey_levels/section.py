"""The grey levels of a whole section, for any part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.blank import blank_level

from .equalisation import TransferFunction
from .filling import Read, Window, fill_window, nearest_tissue
from .ranges import CLIP
from .tissue import tissue_mask

__all__ = ["SectionLevels"]


@dataclass(frozen=True)
class SectionLevels:
    """How the grey levels of a section become those that a network sees.

    It is measured on the whole section, once, and applied to all of it or to parts, with the same result.

    Attributes:
        shape: width and height of the section.
        transfer: function of its grey levels; None in a blank section.
        tissue: bool (width, height), or what is indexed like it; None where all is tissue.
        nearest: of `nearest_tissue`; None where nothing is to be filled.
    """

    shape: tuple[int, int]
    transfer: TransferFunction | None
    tissue: Any = None
    nearest: NDArray[np.int32] | None = None

    @classmethod
    def measure(
        cls,
        image: NDArray,
        method: str = "tissue",
        clip: tuple[float, float] = CLIP,
        pixel_size: float | None = None,
        valid: NDArray[np.bool_] | None = None,
    ) -> SectionLevels:
        """Look at a section.

        Args:
            image: (width, height), integers or floating point of any range, finite.
            method: "tissue" equalises by the histogram of the tissue, "none" stretches the range of all pixels, and
                takes all for tissue.
            clip: quantiles that become 0 and 1.
            pixel_size: nanometres, where it is known.
            valid: bool, same shape: where there is a section at all; for "tissue".

        Returns:
            What was found. In a blank section, see `scripts.blank.blank_level`, nothing is tissue.

        Raises:
            ValueError: see `tissue_mask` and `equalize`.
        """
        if blank_level(image) is not None:
            return cls(image.shape, None, np.zeros(image.shape, bool))
        if method == "none":
            return cls(image.shape, TransferFunction.stretching(image, None, clip))
        tissue = tissue_mask(image, pixel_size, valid)
        transfer = TransferFunction.equalizing(image, tissue, clip)
        return cls(image.shape, transfer, None if tissue.all() else tissue, nearest_tissue(tissue))

    def whole(self, image: NDArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Apply it to all of the section, see `window`."""
        return self.window(image.__getitem__, (slice(0, self.shape[0]), slice(0, self.shape[1])))

    def has_tissue(self, window: Window) -> bool:
        """Tell whether there is tissue in a part of the section."""
        return self.tissue is None or bool(np.any(self.tissue[window]))

    def window(self, image: Read, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Apply it to a part of the section.

        Args:
            image: reads the section: its pixels outside of tissue come from elsewhere, see `fill_outside`.
            window: the part.

        Returns:
            float32 (columns, rows) in [0, 1], and bool, where there is tissue.
        """
        sides = tuple(part.stop - part.start for part in window)
        tissue = np.ones(sides, bool) if self.tissue is None else np.asarray(self.tissue[window])
        if self.transfer is None:
            return np.full(sides, 0.5, np.float32), tissue
        pixels = image(window)
        if self.nearest is not None and not tissue.all():
            pixels = pixels.copy()
            fill_window(pixels, window, self.shape, self.nearest, image, self.tissue.__getitem__)
        return self.transfer(pixels), tissue
