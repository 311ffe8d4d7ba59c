"""The cells of phantom tissue: bodies and thin processes that fill the block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .geometry import membrane_profile
from .waves import PlaneWaves

__all__ = ["Cells"]

FloatArray = NDArray[np.floating]

MEMBRANE_SIGMA = 7.0
ROUNDING = 9.0  # of the corners of cells


class Cells:
    """Unions of the Voronoi cells of random points, bent by a smooth warp.

    Args:
        rng: source of the cells.
        low: lower corner (3,) of the block in nanometres.
        high: upper corner (3,).

    Attributes:
        grey: (cells,), grey level of each cell.
        grain: (cells,), how strong the grain of each cell is.
    """

    def __init__(self, rng: np.random.Generator, low: FloatArray, high: FloatArray) -> None:
        volume = np.prod(high - low)
        self._warps = [
            (amplitude, [PlaneWaves(rng, shortest, longest) for _ in range(3)])
            for amplitude, shortest, longest in ((80.0, 500, 1500), (14.0, 120, 400))
        ]
        self._points = rng.uniform(low, high, (int(volume / 330**3), 3))
        self._tree = cKDTree(self._points)
        centres = rng.uniform(low, high, (max(1, int(volume / 850**3)), 3))
        cell_of = cKDTree(centres).query(self._points)[1]
        bundle = rng.random(len(centres)) < 0.4  # a bundle of thin processes: each point is its own cell
        thin = bundle[cell_of]
        cell_of[thin] = len(centres) + np.arange(thin.sum())
        self._cell_of = cell_of
        cells = len(centres) + int(thin.sum())
        self.grey = np.clip(rng.normal(0.66, 0.05, cells), 0.5, 0.78)
        dark = rng.random(cells) < 0.05  # glia-like, paler than most mitochondria
        self.grey[dark] = rng.uniform(0.5, 0.58, int(dark.sum()))
        self.grain = rng.uniform(0.5, 1.5, cells)

    def on_section(self, x: FloatArray, y: FloatArray, z: float) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
        """Find the cells of all pixels of a section.

        Args:
            x: positions (width,) of its pixels in nanometres.
            y: positions (height,).
            z: depth of the section.

        Returns:
            Index of the cell, distance to its border and darkness of its membrane, all (width, height).
        """
        strips = []
        columns = max(1, 2**17 // len(y))  # bounds the memory
        for part in np.split(x, range(columns, len(x), columns)):
            points = np.stack(np.broadcast_arrays(part[:, None], y[None], z), axis=-1)
            warp = sum(
                amplitude * np.stack([w.on_section(part, y, z) for w in waves], axis=-1)
                for amplitude, waves in self._warps
            )
            found = self._at(points.reshape(-1, 3), warp.reshape(-1, 3), 6)
            strips.append([a.reshape(points.shape[:2]) for a in found])
        cells, border, membrane = (np.concatenate(part) for part in zip(*strips, strict=True))
        return cells, border, membrane

    def at(self, points: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
        """Index of the cell and distance to its border, (...), at scattered points (..., 3)."""
        flat = points.reshape(-1, 3)
        warp = sum(amplitude * np.stack([w(flat) for w in waves], axis=-1) for amplitude, waves in self._warps)
        cells, border, _ = self._at(flat, warp, 12)
        return cells.reshape(points.shape[:-1]), border.reshape(points.shape[:-1])

    def _at(
        self, points: FloatArray, warp: FloatArray, neighbours: int
    ) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
        """Cell index, distance to the cell's border and darkness of its membrane, for points and warp (n, 3)."""
        distances, index = self._tree.query(points + warp, neighbours)
        cells = self._cell_of[index]
        offsets = self._points[index] - self._points[index[:, :1]]
        between = np.linalg.norm(offsets, axis=-1)
        own = cells == cells[:, :1]
        between[own] = 1
        border = np.where(own, 1e3, (distances**2 - distances[:, :1] ** 2) / (2 * between))
        membrane = membrane_profile(border, MEMBRANE_SIGMA, offsets[..., 2] / between).max(axis=1)
        # the soft minimum rounds the corners of the cells; what is left between them is dark
        least = border.min(axis=1, keepdims=True)
        border = least[:, 0] - ROUNDING * np.log(np.exp((least - border) / ROUNDING).sum(axis=1))
        membrane = np.maximum(membrane, np.exp(-0.5 * np.square(np.maximum(border, 0) / MEMBRANE_SIGMA)))
        return cells[:, 0], border, membrane
