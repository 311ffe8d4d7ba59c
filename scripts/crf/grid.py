"""Geometry of the grid method: where the grid points lie, how the grid is blurred, and in which tiles it is held."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_REACH = 3.5  # standard deviations: what lies beyond is 0.05 % of a Gaussian along one axis
_HALO = 5.0  # standard deviations around a part of a section
_MAX_SMOOTH = 16.0  # widest smoothness kernel that costs less pixel by pixel than on a grid
MIN_PROBABILITY = 1e-5
"""What probabilities below count as."""

_VALUES = 2**23  # of one grid: two of them take 64 MiB

Window = tuple[int, int, int, int]
"""First and last x, first and last y (exclusive) of some pixels."""


@dataclass(frozen=True)
class Grid:
    """A grid over position and grey level on which a Gaussian kernel between pixels is computed.

    The pixels are distributed over the grid points around them by the weights of trilinear interpolation, the grid is
    convolved with a Gaussian, and interpolated at the pixels. Both interpolations together widen the Gaussian by a
    third of a squared cell along each axis, less where pixels lie on grid points, and it is made narrower by as much.

    Args:
        cell: pixels from one grid point to the next.
        scale: cells from grey level 0 to 1.
        bins: number of grid points along the grey levels.
        taps: the Gaussian along the pixels' axes, from its middle, float32.
        grey_taps: the same along the grey levels.

    References:
        S. Paris, F. Durand: A fast approximation of the bilateral filter using a signal processing approach. IJCV 2009.
    """

    cell: int
    scale: float
    bins: int
    taps: np.ndarray
    grey_taps: np.ndarray

    @classmethod
    def of_widths(cls, sxy: float, srgb: float, shape: tuple[int, int]) -> Grid:
        """Choose cells of about half the kernel's widths, and of one pixel below 3 pixels, which makes position exact.

        Half is where the error is a fifth of the permutohedral lattice's; at two thirds, as for 3 pixels, a third.

        Args:
            sxy: width of the kernel in pixels.
            srgb: its width in grey levels from 0 to 1; infinite for a kernel over position alone.
            shape: of the section in pixels.

        Returns:
            The grid.
        """
        sxy = min(sxy, 1000 * max(shape))  # a kernel as wide is constant, and its square is no infinity
        cell = max(1, math.floor(min(sxy / 2 + 0.5, max(shape))))
        scale = 2 / srgb
        bins = math.floor(scale * 1.0001) + 2  # rounding leaves grey levels a little above 1
        variance = (sxy / cell) ** 2 - (1 - 1 / cell**2) / 3
        grey_taps = gaussian_taps(math.sqrt(4 - 1 / 3), bins) if math.isfinite(srgb) else np.ones(1, np.float32)
        taps = gaussian_taps(math.sqrt(variance), -(-max(shape) // cell) + 1)
        return cls(cell, scale, bins, taps, grey_taps)

    def points(self, pixels: int) -> int:
        """Count the grid points along an axis of so many pixels."""
        return -(-pixels // self.cell) + 1

    def tiles(self, shape: tuple[int, int], values: int = _VALUES) -> Iterator[tuple[Window, Window]]:
        """Cut a section so that the grid of a tile has a bounded number of values.

        Args:
            shape: of the section in pixels.
            values: the number, which one row of cells with its surroundings may exceed.

        Yields:
            Pixels of the tile, and the same with the pixels around it on which its grid depends.
        """
        halo = len(self.taps) * self.cell
        rim = 2 * len(self.taps) + 1
        side = max(1, math.isqrt(values // self.bins) - rim) * self.cell
        # tiles as wide as the section have no rim on two sides
        strip = max(1, values // self.bins // self.points(shape[1]) - rim) * self.cell
        sides = (strip, shape[1]) if strip >= side else (side, side)
        for x in range(0, shape[0], sides[0]):
            for y in range(0, shape[1], sides[1]):
                inner = (x, min(x + sides[0], shape[0]), y, min(y + sides[1], shape[1]))
                outer = (
                    max(x - halo, 0),
                    min(inner[1] + halo, shape[0]),
                    max(y - halo, 0),
                    min(inner[3] + halo, shape[1]),
                )
                yield inner, outer


def crf_window(window: tuple[slice, slice], shape: tuple[int, int], **parameters: Any) -> tuple[slice, slice]:
    """Extend a part of a section by what surrounds it, so that the CRF of both gives the part as that of the section.

    What lies more than five widths of the wider kernel away has hardly a say, through ten iterations too: a test holds
    the share of labels that differ below 1 in 10,000. It begins on a point of the section's own grids.

    Args:
        window: the part, columns and rows.
        shape: width and height of the section.
        **parameters: those of `dense_crf`, of which the widths and weights of the kernels count.

    Returns:
        Columns and rows.
    """
    kernel_parameters = {name: value for name, value in parameters.items() if name not in ("iterations", "method")}
    kinds = [kind for kind in ("gaussian", "bilateral") if parameters[f"{kind}_compat"]]
    widths = [parameters[f"{kind}_sxy"] for kind in kinds]
    halo = math.ceil(_HALO * max(widths, default=0))
    step = math.lcm(*(grid.cell for grid, _ in plan_kernels(shape, **kernel_parameters)[0]))
    columns, rows = (
        slice(max(0, part.start - halo) // step * step, min(length, part.stop + halo))
        for part, length in zip(window, shape, strict=True)
    )
    return columns, rows


def gaussian_taps(sigma: float, count: int) -> np.ndarray:
    """Sample a Gaussian at 0, 1, 2, ... up to 3.5 standard deviations, at most `count` samples.

    Args:
        sigma: standard deviation in samples.
        count: the most there are.

    Returns:
        float32, 1 in the middle.
    """
    k = np.arange(min(math.ceil(_REACH * sigma) + 1, count), dtype=float)
    return np.exp(-(k**2) / (2 * sigma**2)).astype(np.float32)


def plan_kernels(
    shape: tuple[int, int],
    *,
    gaussian_sxy: float,
    gaussian_compat: float,
    bilateral_sxy: float,
    bilateral_srgb: float,
    bilateral_compat: float,
) -> tuple[list[tuple[Grid, float]], np.ndarray, float]:
    """Decide how each kernel of `dense_crf` is computed: on a grid, or, where it is narrow smoothness, pixel by pixel.

    Args:
        shape: of the section in pixels.
        gaussian_sxy: width of the smoothness kernel, in pixels.
        gaussian_compat: its weight.
        bilateral_sxy: width of the appearance kernel in pixels.
        bilateral_srgb: its width in grey levels of 255.
        bilateral_compat: its weight.

    Returns:
        Grids with their weights; samples of the kernel that is convolved pixel by pixel, and its weight, 0 if there is
        none.
    """
    grids = []
    if bilateral_compat > 0:
        grids.append((Grid.of_widths(bilateral_sxy, bilateral_srgb / 255, shape), bilateral_compat))
    if gaussian_compat > 0 and gaussian_sxy > _MAX_SMOOTH:
        grids.append((Grid.of_widths(gaussian_sxy, math.inf, shape), gaussian_compat))
        gaussian_compat = 0.0
    taps = gaussian_taps(min(gaussian_sxy, _MAX_SMOOTH), max(shape))
    return grids, taps, gaussian_compat


def smoothness_norm(taps: np.ndarray, pixels: int) -> np.ndarray:
    """Normalise a Gaussian along one axis, 1 over the root of what all pixels weigh.

    Args:
        taps: of `gaussian_taps`.
        pixels: along the axis.

    Returns:
        (pixels,) float32.
    """
    total = np.cumsum(taps, dtype=float)
    before = np.minimum(np.arange(pixels), len(taps) - 1)
    return (1 / np.sqrt(total[before] + total[before][::-1] - taps[0])).astype(np.float32)
