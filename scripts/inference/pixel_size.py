"""The pixel size of sections, as the network that is to segment them sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.resampling import at_pixel_size
from scripts.tiles import tile_corners

__all__ = ["PixelSizeEstimate", "PixelSizeEstimator", "candidate_pixel_sizes"]

SHORTEST = 96
"""Pixels of the network: the shorter side of a section has to be that long at a candidate for it to be tried."""

LEAST_FOUND = 0.005
"""Share of the area: with less of it called mitochondrion, sureness is about a few specks."""

NEIGHBOURS = 2
"""Candidates on each side of the best one to which the parabola is fitted."""

LEAST_FALL = 0.05
"""Share of the sureness that is lost from its maximum to both sides: less is a flat curve."""

WIDEST = 1.25**2
"""Of the span of the estimate, as a ratio: beyond, tiles do not agree on it."""

DRAWS = 200
"""Of tiles, for the span."""


def candidate_pixel_sizes(smallest: float = 1.5, largest: float = 24.0, count: int = 13) -> list[float]:
    """Give pixel sizes to try, evenly on a logarithmic scale.

    Args:
        smallest: in nanometres, above 0.
        largest: in nanometres, above `smallest`.
        count: how many, at least 5: the maximum and two on each side of it.

    Returns:
        The pixel sizes, rising.

    Raises:
        ValueError: an argument is out of its range.
    """
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (smallest, largest))
    if not numbers or not 0 < smallest < largest < float("inf"):
        raise ValueError(
            f"smallest and largest must be rising numbers of nanometres, but got {smallest!r}, {largest!r}"
        )
    if type(count) is not int or count < 2 * NEIGHBOURS + 1:
        raise ValueError(f"count must be a whole number from {2 * NEIGHBOURS + 1}, but got {count!r}")
    return np.geomspace(smallest, largest, count).tolist()


@dataclass(frozen=True)
class PixelSizeEstimate:
    """A pixel size, or why it is not known.

    Attributes:
        pixel_size: nanometres; None where it is not known.
        span: nanometres, between which 8 of 10 draws of the tiles put it; None where nothing can be said.
        doubt: why it is not known, as the end of a sentence; None where it is.
        candidates: nanometres, rising, (n,).
        sureness: in [0, 1] for each candidate, NaN where it was not tried, (n,).
        found: share of the area that was called mitochondrion, likewise, (n,).
    """

    pixel_size: float | None
    span: tuple[float, float] | None
    doubt: str | None
    candidates: NDArray[np.float64]
    sureness: NDArray[np.float64]
    found: NDArray[np.float64]


class PixelSizeEstimator:
    """Show tiles of sections to a network as if their pixels had one size after another, and ask when it is surest.

    A network knows mitochondria at the scale that it was trained at. At another one it finds fewer, and what it finds
    is half-hearted. Sureness at a candidate is Σp² / Σp over all pixels, with p the probability of mitochondrion: the
    mean probability at a place that is drawn in proportion to it, or what share of such places the network itself
    expects to be right. A parabola over the logarithm of the pixel size through the best candidate and its neighbours
    gives the estimate. Its span is that of a bootstrap over tiles (Efron, Annals of Statistics 7, 1-26, 1979).

    Rather no answer than a wrong one: the pixel size is not known where hardly any mitochondrion is found, the maximum
    lies at an end of what was tried, the curve is flat, or the tiles do not agree.

    Args:
        score: gives probabilities of mitochondrion (tiles, width, height) for tiles (tiles, 1, width, height) at the
            pixel size of the network.
        network_pixel_size: at which the network was trained, in nanometres.
        candidates: pixel sizes to try in nanometres, rising, such as `candidate_pixel_sizes` gives.
        tile_size: width and height of a tile in pixels of the network; where a section is smaller, all of it.
        tiles: how many of each section at each candidate, at most, spread evenly over it.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        score: Callable[[torch.Tensor], torch.Tensor],
        network_pixel_size: float,
        candidates: Sequence[float],
        tile_size: int = 256,
        tiles: int = 4,
    ) -> None:
        self.candidates = np.array(candidates, dtype=np.float64)
        if len(self.candidates) <= 2 * NEIGHBOURS or np.any(np.diff(self.candidates, prepend=0) <= 0):
            raise ValueError(f"candidates must be at least {2 * NEIGHBOURS + 1} rising numbers, but got {candidates}")
        for name, value, least in (("tile_size", tile_size, SHORTEST), ("tiles", tiles, 1)):
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be a whole number from {least}, but got {value!r}")
        self.score = score
        self.network_pixel_size = network_pixel_size
        self.tile_size = tile_size
        self.tiles = tiles
        # per candidate and tile: Σp², Σp, pixels called mitochondrion, pixels
        self._sums: list[list[list[float]]] = [[] for _ in self.candidates]

    def add(self, section: torch.Tensor) -> None:
        """Look at a section.

        Args:
            section: (1, width, height) as the network is used to see sections, such as equalised; pixels are taken for
                squares.
        """
        for candidate, sums in zip(self.candidates, self._sums, strict=True):
            scale = candidate / self.network_pixel_size
            if min(section.shape[1:]) * scale < SHORTEST:
                continue
            tiles = self._tiles(section, scale)
            p = self.score(at_pixel_size(tiles, (candidate, candidate), self.network_pixel_size)).double()
            for tile in p:
                sums.append([float(v) for v in ((tile * tile).sum(), tile.sum(), (tile > 0.5).sum(), tile.numel())])

    def add_all(self, other: PixelSizeEstimator) -> None:
        """Take over what another estimator saw.

        Args:
            other: with the same candidates.
        """
        for own, others in zip(self._sums, other._sums, strict=True):
            own += others

    def estimate(self) -> PixelSizeEstimate:
        """Say what was learned from the sections so far.

        Returns:
            The estimate.
        """
        sums = [np.array(rows) if rows else np.full((1, 4), np.nan) for rows in self._sums]
        sureness, found = self._curve([rows.sum(axis=0) for rows in sums])

        def result(doubt: str | None, pixel_size: float | None = None, span: tuple | None = None) -> PixelSizeEstimate:
            return PixelSizeEstimate(pixel_size, span, doubt, self.candidates, sureness, found)

        if np.isfinite(sureness).sum() <= 2 * NEIGHBOURS:
            shortest = round(SHORTEST * self.network_pixel_size / 1000, 2)
            return result(f"the sections are too small to be tried at several scales: {shortest} µm are needed")
        usable = np.where(found >= LEAST_FOUND, sureness, 0.0)  # not tried: NaN, and so 0
        if not usable.any():
            return result(f"at no scale is as much as {LEAST_FOUND:.1%} of the area found to be mitochondria")
        tried = np.flatnonzero(np.isfinite(sureness))
        best = int(usable.argmax())
        falls = [1 - usable[side].min() / usable[best] for side in (tried[tried <= best], tried[tried >= best])]
        if max(falls) < LEAST_FALL:
            return result("the network is equally sure at all scales")
        if best in (tried[0], tried[-1]):
            end = "smallest" if best == tried[0] else "largest"
            return result(
                f"the network is surest at the {end} pixel size that was tried, {self.candidates[best]:.3g} nm"
            )
        if min(falls) < LEAST_FALL:
            finer = "smaller" if falls[0] < falls[1] else "larger"
            return result(f"the network is as sure at {finer} pixel sizes as at {self.candidates[best]:.3g} nm")
        rng = np.random.default_rng(0)
        draws = []
        for _ in range(DRAWS):
            drawn = [rows[rng.integers(len(rows), size=len(rows))].sum(axis=0) for rows in sums]
            draws.append(self._peak(*self._curve(drawn)))
        low, high = (float(v) for v in np.quantile(draws, (0.1, 0.9)))
        if high > WIDEST * low:
            return result(
                f"the tiles do not agree: it may be anything from {low:.3g} to {high:.3g} nm", None, (low, high)
            )
        return result(None, self._peak(sureness, found), (low, high))

    def _tiles(self, section: torch.Tensor, scale: float) -> torch.Tensor:
        """Cut tiles (tiles, 1, width, height) that have `tile_size` at the pixel size of the network."""
        width, height = (min(max(1, round(self.tile_size / scale)), length) for length in section.shape[1:])
        corners = tile_corners(section.shape[1:], (width, height))
        if len(corners) > self.tiles:
            corners = [corners[round((i + 0.5) * len(corners) / self.tiles - 0.5)] for i in range(self.tiles)]
        return torch.stack([section[:, x : x + width, y : y + height] for x, y in corners])

    @staticmethod
    def _curve(sums: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        squares, total, found, pixels = np.transpose(sums)
        # the lower bound keeps 0 / 0 away, where nothing at all is found
        return squares / np.maximum(total, 1e-9), found / pixels

    def _peak(self, sureness: NDArray[np.float64], found: NDArray[np.float64]) -> float:
        """Refine the maximum by a parabola."""
        best = int(np.where(found >= LEAST_FOUND, sureness, 0.0).argmax())
        x = np.log(self.candidates / self.candidates[best])
        y = np.minimum(sureness, sureness[best])  # a few specks may be surer
        tried = np.flatnonzero(np.isfinite(y))
        for reach in (NEIGHBOURS, 1):  # a sharp maximum between wide tails is a parabola at its top only
            near = tried[abs(tried - best) <= reach]
            if len(near) > 2:
                bend, slope, _ = np.polyfit(x[near], y[near], 2)
                if bend < 0:  # the vertex is not looked for beyond the candidates beside the best one
                    around = x[max(0, best - 1)], x[min(len(x) - 1, best + 1)]
                    return float(np.exp(np.clip(-slope / (2 * bend), *around)) * self.candidates[best])
        return float(self.candidates[best])
