"""How sections are moved, bent and folded on their way to the microscope: the truth for the registration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from .waves import PlaneWaves

__all__ = ["Deformation"]

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Deformation:
    """How the tissue of one section was moved before it was imaged.

    Attributes:
        displacement: float32 (2, width, height), for each pixel of the deformed section the offset (x, y) in pixels to
            where its tissue truly lies, in the frame of the aligned stack.
        edge: float32 (width, height), distance in pixels to the edge of the fold, negative under it; inf without fold.
    """

    displacement: NDArray[np.float32]
    edge: NDArray[np.float32]

    @property
    def fold(self) -> NDArray[np.bool_]:
        """Where the fold hides the tissue, bool (width, height)."""
        return self.edge < 0

    @classmethod
    def random(cls, size: tuple[int, int], rng: np.random.Generator, misalign: bool, fold: bool) -> Deformation:
        """Draw a deformation, which moves no tissue by more than a fifth of the longer side.

        Args:
            size: width and height of the section in pixels.
            rng: source of the deformation.
            misalign: turn by up to 3 degrees, scale and shear by up to 1 %, shift by up to 4 % of the longer side and
                bend smoothly.
            fold: let a fold run through the whole section. The tissue on its two sides is drawn together, by 4 to 8 %
                of the longer side, and one side is turned by up to 1 degree.

        Returns:
            The deformation.
        """
        longer = max(size)
        axes = [np.arange(n) - (n - 1) / 2 for n in size]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"))
        displacement = np.zeros_like(grid)
        edge = np.full(size, np.inf)
        if misalign:
            angle = np.deg2rad(rng.uniform(-3, 3))
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            affine = turn @ (np.eye(2) + rng.uniform(-0.01, 0.01, (2, 2)))
            displacement += np.tensordot(affine - np.eye(2), grid, 1) + longer * rng.uniform(-0.04, 0.04, (2, 1, 1))
            bend = [PlaneWaves(rng, 0.5 * longer, 1.5 * longer, waves=16).on_section(*axes, 0) for _ in range(2)]
            displacement += 0.006 * longer * np.clip(bend, -2, 2)
        if fold:
            angle = rng.uniform(0, np.pi)
            normal, tangent = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            along = np.tensordot(tangent, grid, 1) / longer
            wave = np.sin(rng.uniform(2, 5) * along + rng.uniform(0, 2 * np.pi))
            ripple = np.sin(rng.uniform(8, 15) * along + rng.uniform(0, 2 * np.pi))
            middle = rng.uniform(-0.15, 0.15) * longer
            distance = np.tensordot(normal, grid, 1) - middle - longer * (0.04 * wave + 0.004 * ripple)
            edge = np.abs(distance) - longer * rng.uniform(0.010, 0.018) * (1 + 0.3 * ripple)
            drawn = longer * rng.uniform(0.02, 0.04) * normal
            displacement += np.sign(distance) * drawn[:, None, None]
            flap = np.deg2rad(rng.uniform(-1, 1))
            displacement += np.where(distance > 0, flap, 0) * np.stack([-grid[1], grid[0]])
        return cls(displacement.astype(np.float32), edge.astype(np.float32))

    def apply(self, section: FloatArray, label: NDArray[np.integer]) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
        """Deform a section and its label, each pixel interpolated once.

        Args:
            section: grey level (width, height) with 0 black and 1 white, as large as the deformation or larger by the
                same number of pixels on all sides, for what the deformation moves in from outside.
            label: labels of the same shape.

        Returns:
            The section, float32 (cubic interpolation), with the fold drawn dark, and the label (nearest neighbour), 0
            under the fold; both in the size of the deformation.
        """
        size = self.edge.shape
        border = [(big - small) // 2 for big, small in zip(section.shape, size, strict=True)]
        grid = np.stack(np.meshgrid(*(np.arange(n) + b for n, b in zip(size, border, strict=True)), indexing="ij"))
        positions = grid + self.displacement
        image = map_coordinates(section, positions, np.float32, order=3, mode="nearest")
        moved = map_coordinates(label, positions, order=0, mode="nearest")
        # tissue lies thrice under a fold: dark; the raised edge shines
        image += 0.25 * np.exp(-0.5 * np.square(np.minimum(self.edge, 100) / (0.004 * max(size) + 0.5)))
        image = np.where(self.fold, 0.3 * np.clip(image, 0, 1) ** 2, image)
        return image, np.where(self.fold, 0, moved)
