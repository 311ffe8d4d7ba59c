"""Drawing of one section of phantom tissue, structure by structure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .geometry import IMAGING_DEPTH, membrane_profile, segment_distance, smooth_step, tube_distance
from .organelles import Mitochondrion

__all__ = ["SectionDrawing"]

FloatArray = NDArray[np.floating]


class SectionDrawing:
    """A section on which organelles are drawn, each over those before it.

    Args:
        grey: (width, height), grey level of the cytoplasm, 0 black to 1 white; it is changed.
        border: (width, height), distance to the border of the cell in nanometres.
        x: positions (width,) of the pixels in nanometres.
        y: positions (height,).
        z: depth of the section.
        pixel_size: nanometres per pixel.
    """

    def __init__(
        self, grey: FloatArray, border: FloatArray, x: FloatArray, y: FloatArray, z: float, pixel_size: float
    ) -> None:
        self.grey = grey
        self.border = border
        self.x = x
        self.y = y
        self.z = z
        self.pixel_size = pixel_size

    def reticulum(self, field: FloatArray, extent: FloatArray) -> None:
        """Draw smooth sheets, cut into double lines: where a random field crosses zero.

        Args:
            field: (width, height), smooth, of zero mean and unit variance.
            extent: (width, height), likewise: where there is reticulum at all.
        """
        slope = np.hypot(*np.gradient(field, self.pixel_size)) + 1e-4
        distance = np.abs(field) / slope
        extent = smooth_step(extent - 1.0, 0.3) * smooth_step(self.border - 60, 30)
        lumen = smooth_step(14 - distance, 8)
        self.grey += extent * (0.06 * lumen - 0.28 * membrane_profile(distance - 16, 5.0))

    def tubules(self, tubules: FloatArray, thickness: float) -> None:
        """Draw two parallel lines where a microtubule runs in the section, a small ring where it crosses it.

        Args:
            tubules: (n, 6), both ends of each in nanometres.
            thickness: of the section in nanometres.
        """
        starts, along = tubules[:, :3], tubules[:, 3:] - tubules[:, :3]
        # the part inside the section's thickness
        rise = np.where(np.abs(along[:, 2]) < 1, 1.0, along[:, 2])
        limits = (self.z + thickness / 2 * np.array([[-1], [1]]) - starts[:, 2]) / rise
        enter, leave = np.clip(limits.min(axis=0), 0, 1), np.clip(limits.max(axis=0), 0, 1)
        for i in np.flatnonzero(leave > enter):
            start, stop = starts[i] + enter[i] * along[i], starts[i] + leave[i] * along[i]
            window = self._window((start + stop) / 2, 25 + np.linalg.norm((stop - start)[:2]) / 2)
            if window is None:
                continue
            points = np.stack(np.broadcast_arrays(*self._offsets(window, start)), axis=-1)
            distance = segment_distance(points, np.zeros(2), (stop - start)[:2])[0]
            self.grey[window] *= 1 + 0.08 * smooth_step(6 - distance, 6) - 0.3 * membrane_profile(distance - 11, 4.5)

    def vesicles(self, vesicles: FloatArray) -> None:
        """Draw round vesicles with a membrane, some with a dense core; see `Organelles.vesicles`."""
        depth = np.maximum(np.abs(vesicles[:, 2] - self.z) - IMAGING_DEPTH / 2, 0)
        cut = depth < vesicles[:, 3]
        radii = np.sqrt(vesicles[cut, 3] ** 2 - depth[cut] ** 2)
        for vesicle, radius in zip(vesicles[cut], radii, strict=True):
            window = self._window(vesicle, radius + 15)
            if window is None:
                continue
            distance = np.hypot(*self._offsets(window, vesicle))
            ring = membrane_profile(distance - radius, 4.5)
            inside = smooth_step(radius - distance, 8)
            patch = self.grey[window]
            patch += 0.06 * inside
            patch *= 1 - 0.45 * ring
            if vesicle[4]:
                patch *= 1 - 0.7 * smooth_step(0.62 * radius - distance, 10)

    def bodies(self, bodies: FloatArray, rng: np.random.Generator) -> None:
        """Draw dark bodies that are not mitochondria: lysosomes, and bodies with a light lumen or vesicles in it.

        Args:
            bodies: see `Organelles.bodies`.
            rng: source of the noise within them.
        """
        for x, y, depth, size, kind in bodies:
            if abs(depth - self.z) >= size:
                continue
            radius = np.sqrt(size**2 - (depth - self.z) ** 2)
            window = self._window(np.array([x, y]), 1.5 * radius + 30)
            if window is None:
                continue
            dx, dy = self._offsets(window, np.array([x, y]))
            angle = np.arctan2(dy, dx)
            lobes = 1 + 0.15 * np.cos(2 * angle + 9 * kind) + 0.05 * np.cos(3 * angle + 50 * kind)
            distance = np.minimum(radius * lobes - np.hypot(dx, dy), self.border[window] - 12)
            tilt = 0.9 * (self.z - depth) / size
            inside = smooth_step(distance, 10 + IMAGING_DEPTH * abs(tilt))
            patch = self.grey[window]
            noise = gaussian_filter(rng.normal(size=patch.shape), 3)
            if kind < 0.5:  # lysosome
                fill = 0.20 + 0.25 * kind + 0.5 * noise
            elif kind < 0.75:  # multivesicular body
                fill = 0.62 + 1.6 * np.minimum(noise, 0)
            else:  # endosome or vacuole
                fill = 0.72 + 0.1 * noise
            patch += inside * (fill - patch)
            patch *= 1 - 0.6 * np.clip(membrane_profile(distance - 4, 5.5, tilt), 0, 1)

    def mitochondria(
        self,
        mitochondria: Sequence[Mitochondrion],
        cells: NDArray[np.intp],
        shape_noise: FloatArray,
        lamella_noise: FloatArray,
        grain: FloatArray,
    ) -> NDArray[np.uint8]:
        """Draw membranes, cristae and matrix.

        Args:
            mitochondria: of the tissue.
            cells: (width, height), index of the cell of each pixel.
            shape_noise: (width, height), smooth field that makes outlines uneven.
            lamella_noise: (width, height), smooth field that bends cristae.
            grain: (width, height), of the matrix.

        Returns:
            uint8 (width, height), 1 in mitochondria, outer membrane included.
        """
        truth = np.zeros(self.grey.shape, np.uint8)
        for body in mitochondria:
            reach = body.radii.max() + 60
            if abs(body.axis[:, 2] - self.z).min() > reach:
                continue
            middle = (body.axis.min(axis=0) + body.axis.max(axis=0)) / 2
            window = self._window(middle, reach + np.ptp(body.axis[:, :2], axis=0).max() / 2)
            if window is None:
                continue
            dx, dy = self._offsets(window, middle)
            points = np.stack(np.broadcast_arrays(dx, dy, self.z - middle[2]), axis=-1)
            distance, tilt = tube_distance(points, body.axis - middle, body.radii)
            distance = np.minimum(distance + 10 * shape_noise[window], self.border[window] - 14)
            distance[cells[window] != body.cell] = -100
            if distance.max() < 25:  # a grazing cut that nobody could see
                continue
            truth[window] |= distance >= 0

            # cristae: lamellae across `normal`, each reaching in from one side, bent by a smooth field
            level = points @ body.lamella_normal / body.period + 0.3 * lamella_noise[window]
            number = np.rint(level).astype(int)
            offset = np.abs(level - number) * body.period
            reach_in = body.reach[number % len(body.reach)]
            side = points @ body.lamella_side / body.radii.mean()
            present = smooth_step(np.abs(reach_in) - 0.3 + np.sign(reach_in) * side, 0.3)
            blur = np.sinc(IMAGING_DEPTH * body.lamella_normal[2] / body.period)
            lamella = present * blur * (membrane_profile(offset - 6, 4.5) - 0.5 * membrane_profile(offset, 3.5))
            lamella *= smooth_step(distance - 24, 8)

            inside = smooth_step(distance, 6 + IMAGING_DEPTH * np.abs(tilt))
            patch = self.grey[window]
            fill = body.matrix + 0.025 * grain[window] - 0.3 * lamella
            membranes = membrane_profile(distance - 4, 5.0, tilt) + membrane_profile(distance - 20, 4.5, tilt)
            fill = fill + 0.10 * membrane_profile(distance - 12, 4.0)
            patch += inside * (fill * (1 - 0.6 * np.clip(membranes, 0, 1)) - patch)
        return truth

    def _window(self, centre: FloatArray, reach: float) -> tuple[slice, slice] | None:
        centre = centre[:2] - (self.x[0], self.y[0])
        low = np.floor((centre - reach) / self.pixel_size).astype(int)
        high = np.ceil((centre + reach) / self.pixel_size).astype(int) + 1
        low, high = np.maximum(low, 0), np.minimum(high, [len(self.x), len(self.y)])
        return None if (low >= high).any() else (slice(low[0], high[0]), slice(low[1], high[1]))

    def _offsets(self, window: tuple[slice, slice], centre: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.x[window[0], None] - centre[0], self.y[None, window[1]] - centre[1]
