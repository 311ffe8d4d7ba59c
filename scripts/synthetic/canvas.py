"""The canvas that a section is drawn on: grey levels and truth on a fine grid, room for structures on a coarse one.

Positions are (x, y) in nanometres from the corner of the section; grey levels are 0 (black) to 255 (white) of an ideal
microscope. Pictures are held as OpenCV wants them, rows (y) first; `section.py` turns them at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from .mixing import depth_inside, grey_level

__all__ = ["COARSE", "Canvas", "Shape", "blob", "blob_outline", "curve", "tube"]

Points = NDArray[np.floating]
COARSE = 16.0  # nm a pixel of the coarse grid, about
SHIFT = 4  # fractional bits of coordinates handed to OpenCV
ONE = 1 << SHIFT


def curve(
    rng: np.random.Generator, start: Sequence[float], angle: float, length: float, stiffness: float, step: float = 25.0
) -> Points:
    """Draw a smooth random curve, a worm-like chain.

    Args:
        rng: source of the bends.
        start: (x, y) of its first point in nm.
        angle: direction at the start in radians.
        length: in nm.
        stiffness: persistence length in nm: over it the direction is forgotten.
        step: distance of neighbouring points in nm.

    Returns:
        (points, 2) in nm.
    """
    n = max(2, int(length / step) + 1)
    turn = rng.standard_normal(n)
    if n > 4:
        turn = np.convolve(turn, [0.25, 0.5, 0.25], "same") * 1.6
    direction = angle + np.cumsum(turn) * np.sqrt(2 * step / stiffness)
    steps = step * np.stack([np.cos(direction), np.sin(direction)], axis=1)
    return np.asarray(start) + np.cumsum(steps, axis=0) - steps[0]


def blob_outline(
    rng: np.random.Generator,
    centre: Sequence[float],
    radius: float,
    elongation: float = 1.0,
    angle: float = 0.0,
    wobble: float = 0.05,
    points: int = 40,
) -> Points:
    """Draw the outline of a roundish body: an ellipse whose radius varies with a few random harmonics.

    Args:
        rng: source of the harmonics.
        centre: (x, y) in nm.
        radius: geometric mean of the half axes in nm.
        elongation: ratio of the half axes.
        angle: of the longer one, in radians.
        wobble: standard deviation of each harmonic (2 to 5), as part of the radius.
        points: number of points.

    Returns:
        (points, 2) in nm.
    """
    theta = np.linspace(0, 2 * np.pi, points, endpoint=False)
    harmonics = np.arange(2, 6)
    phases = rng.uniform(0, 2 * np.pi, 4)
    weights = rng.standard_normal(4) * wobble * np.array([1.0, 0.8, 0.35, 0.2])
    r = radius * (1 + np.cos(theta[:, None] * harmonics + phases) @ weights)
    stretch = np.sqrt(elongation)
    along, across = r * stretch * np.cos(theta), r / stretch * np.sin(theta)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + cosine * along - sine * across, centre[1] + sine * along + cosine * across], axis=1)


@dataclass
class Shape:
    """The area of a body: a union of outlines and of discs.

    Args:
        outlines: polygons, each (points, 2) in nm.
        discs: x, y and radius, (discs, 3) in nm; overlapping discs make a tube.
        axis: a line through the middle of the body, (points, 2) in nm.
    """

    outlines: list[Points] = field(default_factory=list)
    discs: Points = field(default_factory=lambda: np.empty((0, 3)))
    axis: Points = field(default_factory=lambda: np.empty((0, 2)))

    def bounds(self, margin: float = 0.0) -> tuple[float, float, float, float]:
        """Return the smallest and largest x and y in nm: (x0, y0, x1, y1), widened by `margin`."""
        low, high = [], []
        for outline in self.outlines:
            low.append(outline.min(axis=0))
            high.append(outline.max(axis=0))
        if len(self.discs):
            low.append((self.discs[:, :2] - self.discs[:, 2:]).min(axis=0))
            high.append((self.discs[:, :2] + self.discs[:, 2:]).max(axis=0))
        x0, y0 = np.min(low, axis=0) - margin
        x1, y1 = np.max(high, axis=0) + margin
        return x0, y0, x1, y1

    def draw(self, picture: NDArray[np.uint8], origin: Sequence[float], pixel: float, grow: float = 0.0) -> None:
        """Fill the shape with 255.

        Args:
            picture: uint8, changed in place.
            origin: (x, y) in nm of the corner of the picture.
            pixel: nm a pixel.
            grow: by which the shape is widened on all sides, in nm.
        """
        scale = ONE / pixel
        shift = (-np.asarray(origin) / pixel - 0.5) * ONE  # the middle of the first pixel is at half a pixel
        for outline in self.outlines:
            points = np.rint(outline * scale + shift).astype(np.int32)
            cv2.fillPoly(picture, [points], 255, cv2.LINE_8, SHIFT)
            if grow > pixel / 2:
                cv2.polylines(picture, [points], True, 255, max(1, round(2 * grow / pixel)), cv2.LINE_8, SHIFT)
        if len(self.discs):
            centres = np.rint(self.discs[:, :2] * scale + shift).astype(int).tolist()
            radii = np.rint((self.discs[:, 2] + grow) * scale).astype(int).tolist()
            for centre, radius in zip(centres, radii, strict=True):
                cv2.circle(picture, centre, radius, 255, -1, cv2.LINE_8, SHIFT)


def tube(axis: Points, radii: float | Points) -> Shape:
    """Make a tube around a line.

    Args:
        axis: (points, 2) in nm.
        radii: in nm, one or for each point.

    Returns:
        Its shape, made of discs so dense that their union is smooth.
    """
    radii = np.broadcast_to(radii, len(axis))
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(axis, axis=0).T))])
    count = max(2, int(lengths[-1] / (0.3 * max(radii.min(), 10))) + 1)
    at = np.linspace(0, lengths[-1], count)
    discs = np.stack([np.interp(at, lengths, values) for values in (axis[:, 0], axis[:, 1], radii)], axis=1)
    return Shape(discs=discs, axis=axis)


def blob(
    rng: np.random.Generator,
    centre: Sequence[float],
    radius: float,
    elongation: float = 1.0,
    angle: float = 0.0,
    wobble: float = 0.05,
) -> Shape:
    """Make a roundish body; for the arguments see `blob_outline`."""
    outline = blob_outline(rng, centre, radius, elongation, angle, wobble, 24 if radius < 60 else 48)
    reach = radius * np.sqrt(elongation) * np.array([np.cos(angle), np.sin(angle)])
    axis = np.asarray(centre) + np.linspace(-1, 1, 5)[:, None] * reach
    return Shape(outlines=[outline], axis=axis)


class Canvas:
    """Grey levels, truth and free room of a section that is being drawn.

    Args:
        extent: width and height of the section in nm.
        pixel: nm a pixel of the fine grid.
        background: grey level to begin with.

    Attributes:
        grey: uint8 (rows, columns) of the fine grid.
        label: uint8 of the same shape, 255 in mitochondria.
        taken: uint8 on the coarse grid, 255 where nothing more can be placed.
        covered: uint8 on the coarse grid, 255 where something large hides the cells.
        grain: uint8 on the coarse grid, strength of the granular texture laid over all at the end.
    """

    def __init__(self, extent: tuple[float, float], pixel: float, background: int) -> None:
        self.extent = extent
        self.pixel = pixel
        self.shape = (round(extent[1] / pixel), round(extent[0] / pixel))
        self.grey = np.full(self.shape, background, np.uint8)
        self.label = np.zeros(self.shape, np.uint8)
        self.coarse_shape = (int(np.ceil(extent[1] / COARSE)), int(np.ceil(extent[0] / COARSE)))
        self.coarse = COARSE
        self.taken = np.zeros(self.coarse_shape, np.uint8)
        self.covered = np.zeros(self.coarse_shape, np.uint8)
        self.grain = np.full(self.coarse_shape, 128, np.uint8)

    # --- between the grids

    def refine(self, coarse: NDArray[np.uint8], interpolation: int = cv2.INTER_LINEAR) -> NDArray[np.uint8]:
        """Bring a picture from the coarse to the fine grid."""
        scale = self.pixel / self.coarse
        if (
            abs(self.coarse_shape[0] / scale - self.shape[0]) < 1
            and abs(self.coarse_shape[1] / scale - self.shape[1]) < 1
        ):
            return cv2.resize(coarse, self.shape[::-1], interpolation=interpolation)
        matrix = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5]])
        flags = interpolation | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(coarse, matrix, self.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)

    # --- room

    def room(self) -> NDArray[np.float32]:
        """Return for each pixel of the coarse grid how far it is to what is taken, in nm."""
        free = cv2.bitwise_not(self.taken)
        return depth_inside(free, self.coarse)

    def places(
        self, rng: np.random.Generator, count: int, radius: float, room: NDArray[np.float32] | None = None
    ) -> Points:
        """Draw places with free room around them.

        Args:
            rng: source of the choice.
            count: number of places.
            radius: free room in nm.
            room: see `room`, if known already; may be weighted or masked.

        Returns:
            (places, 2) in nm; fewer than asked for, or none, if there is no room.
        """
        if count < 1:
            return np.empty((0, 2))
        room = self.room() if room is None else room
        free = np.flatnonzero(room > radius)
        if not len(free):
            return np.empty((0, 2))
        y, x = np.divmod(free[rng.integers(0, len(free), count)], self.coarse_shape[1])
        return (np.stack([x, y], axis=1) + rng.random((count, 2))) * self.coarse

    def room_at(self, room: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
        """Look `room` up at points (..., 2) in nm; 0 outside of the section by more than a little."""
        x, y = np.moveaxis(np.floor(points / self.coarse).astype(int), -1, 0)
        rows, columns = self.coarse_shape
        values = room[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)]
        outside = (x < -20) | (y < -20) | (x > columns + 20) | (y > rows + 20)
        return np.where(outside, 0, values)

    def _window(
        self, bounds: tuple[float, float, float, float], pixel: float, shape: tuple[int, int]
    ) -> tuple[slice, slice] | None:
        x0, y0 = max(0, int(np.floor(bounds[0] / pixel)) - 1), max(0, int(np.floor(bounds[1] / pixel)) - 1)
        x1, y1 = min(shape[1], int(bounds[2] / pixel) + 2), min(shape[0], int(bounds[3] / pixel) + 2)
        return None if x1 <= x0 or y1 <= y0 else (slice(y0, y1), slice(x0, x1))

    def claim(self, shape: Shape, margin: float = 0.0, overlap: bool = False) -> bool:
        """Take the room of a shape, if all of it is free.

        Args:
            shape: what is to be placed.
            margin: kept free around it, in nm.
            overlap: take it in any case.

        Returns:
            Whether it was taken.
        """
        window = self._window(shape.bounds(margin), self.coarse, self.coarse_shape)
        if window is None:
            return False
        taken = self.taken[window]
        mask = np.zeros(taken.shape, np.uint8)
        origin = (window[1].start * self.coarse, window[0].start * self.coarse)
        shape.draw(mask, origin, self.coarse, margin)
        if not overlap and cv2.countNonZero(cv2.bitwise_and(mask, taken)):
            return False
        np.maximum(taken, mask, out=taken)
        return True

    def coarse_window(self, shape: Shape) -> tuple[slice, slice] | None:
        """Return the window of the coarse grid around a shape; None if it lies outside of the section."""
        return self._window(shape.bounds(), self.coarse, self.coarse_shape)

    # --- drawing

    def window(self, shape: Shape, margin: float = 0.0) -> tuple[tuple[slice, slice], NDArray[np.uint8]] | None:
        """Return the window of the fine grid around a shape, and its mask there (255 inside); None if outside."""
        window = self._window(shape.bounds(margin), self.pixel, self.shape)
        if window is None:
            return None
        mask = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.uint8)
        shape.draw(mask, (window[1].start * self.pixel, window[0].start * self.pixel), self.pixel)
        return window, mask

    def fixed(self, points: Points, origin: Sequence[float] = (0, 0)) -> NDArray[np.int32]:
        """Turn nm into OpenCV's fixed-point pixels."""
        return np.rint(((points - np.asarray(origin)) / self.pixel - 0.5) * ONE).astype(np.int32)

    def thickness(self, width: float) -> int:
        """Return the thickness in whole pixels of a line of that width in nm."""
        return max(1, round(width / self.pixel))

    def lines(self, lines: Iterable[Points], level: float, width: float, closed: bool = False) -> None:
        """Draw lines, each (points, 2) in nm, of a width in nm; of less than a pixel they are drawn as one pixel."""
        points = [self.fixed(line) for line in lines]
        if points:
            cv2.polylines(self.grey, points, closed, int(level), self.thickness(width), cv2.LINE_AA, SHIFT)

    def dots(self, centres: Points, radii: float | Points, level: float | Points) -> None:
        """Draw discs: centres (n, 2) and radii in nm; grey levels one or for each."""
        if not len(centres):
            return
        radii = np.broadcast_to(np.rint(np.asarray(radii) / self.pixel * ONE).astype(int), len(centres)).tolist()
        levels = np.broadcast_to(np.asarray(level).astype(int), len(centres)).tolist()
        for centre, radius, value in zip(self.fixed(centres).tolist(), radii, levels, strict=True):
            cv2.circle(self.grey, centre, radius, value, -1, cv2.LINE_AA, SHIFT)

    def polygon(self, outline: Points, level: float) -> None:
        """Fill an outline (points, 2) in nm."""
        cv2.fillPoly(self.grey, [self.fixed(outline)], int(level), cv2.LINE_AA, SHIFT)

    def paste(self, window: tuple[slice, slice], mask: NDArray[np.uint8], content: NDArray[np.uint8] | float) -> None:
        """Copy a picture, or one grey level, into a window where the mask is not 0."""
        target = self.grey[window]
        if isinstance(content, np.ndarray):
            cv2.copyTo(content, mask, target)
        else:
            target[mask > 0] = grey_level(content)

    def fill(self, shape: Shape, level: float, rim: float | None = None, rim_width: float = 8.0) -> None:
        """Fill a shape with one grey level, with a rim (a membrane) of another if one is given."""
        found = self.window(shape, rim_width)
        if found is None:
            return
        window, mask = found
        target = self.grey[window]
        target[mask > 0] = grey_level(level)
        if rim is not None:
            for outline in shape.outlines:
                self.lines([outline], rim, rim_width, closed=True)
            if len(shape.discs):
                depth = depth_inside(mask)
                target[(mask > 0) & (depth <= max(1, rim_width / self.pixel))] = grey_level(rim)
