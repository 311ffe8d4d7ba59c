"""The organelles of phantom tissue: where they lie in its cells, and of what size they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .cells import Cells
from .geometry import unit

__all__ = ["Mitochondrion", "Organelles", "grow_mitochondria"]

FloatArray = NDArray[np.floating]

STEPS = 15  # points along the axis of a tube
MIDDLE = STEPS // 2


@dataclass
class Mitochondrion:
    """A curved tube of varying thickness, with cristae.

    Attributes:
        cell: index of the cell that it lies in.
        axis: (points, 3), in nanometres.
        radii: (points,).
        lamella_normal: (3,), unit vector across the cristae.
        lamella_side: (3,), unit vector along which a crista reaches in from one side.
        period: from crista to crista.
        reach: (lamellae,), how far each crista reaches in, in [-1, 1]; its sign says from which side.
        matrix: grey level.
    """

    cell: int
    axis: FloatArray
    radii: FloatArray
    lamella_normal: FloatArray
    lamella_side: FloatArray
    period: float
    reach: FloatArray
    matrix: float

    @classmethod
    def random(cls, rng: np.random.Generator, cell: int, axis: FloatArray, radii: FloatArray) -> Mitochondrion:
        """Give a tube cristae and a grey level."""
        along = unit(axis[-1] - axis[0])
        normal = along if rng.random() < 0.55 else np.cross(along, rng.normal(size=3))
        normal = unit(unit(normal) + 0.25 * rng.normal(size=3))
        normal = unit(normal * [1, 1, 0.15])  # steep enough to be followed at 50 nm
        side = unit(np.cross(normal, rng.normal(size=3)))
        reach = rng.uniform(0.0, 1.4, 64) * rng.choice([-1, 1], 64)
        matrix = rng.uniform(0.28, 0.42) if rng.random() < 0.85 else rng.uniform(0.42, 0.52)
        return cls(cell, axis, radii, normal, side, rng.uniform(38, 62), reach, matrix)


def grow_mitochondria(
    rng: np.random.Generator, cells: Cells, low: FloatArray, high: FloatArray, fraction: float
) -> tuple[list[Mitochondrion], FloatArray]:
    """Fill cells with curved tubes as long and as thick as their cell lets them be.

    Args:
        rng: source of the mitochondria.
        cells: of the block.
        low: lower corner (3,) of the block in nanometres.
        high: upper corner (3,).
        fraction: part of the volume to be filled, as far as there is room.

    Returns:
        The mitochondria, and centres and radii (n, 4) of the spheres that they fill.
    """
    mitochondria: list[Mitochondrion] = []
    steps = np.linspace(-1, 1, STEPS)
    taken: dict[int, FloatArray] = {}  # (n, 4) centres and radii of the spheres that fill each cell
    filled, volume = 0.0, np.prod(high - low)
    count = int(volume / 450**3)
    for _ in range(40):
        if filled >= fraction * volume:
            break
        centre = rng.uniform(low, high, (count, 3))
        direction = unit(rng.normal(size=(count, 3)))
        bend = np.cross(direction, unit(rng.normal(size=(count, 3)))) * rng.uniform(0, 0.35, (count, 1))
        half_length = rng.gamma(4, 110, count) + 80
        axes = centre[:, None] + half_length[:, None, None] * (
            steps[:, None] * direction[:, None] + (steps**2)[:, None] * bend[:, None]
        )
        inside, border = cells.at(axes)
        radii = np.minimum(rng.uniform(75, 240, count), 1.05 * border[:, MIDDLE])
        first, last = _run_through_middle((inside == inside[:, [MIDDLE]]) & (border > 0.75 * radii[:, None]))
        for i in np.flatnonzero((radii > 70) & (last - first >= 2)):
            axis = axes[i, first[i] : last[i]]
            cell = int(inside[i, MIDDLE])
            others = taken.get(cell, np.empty((0, 4)))
            gaps = np.linalg.norm(axis[:, None] - others[:, :3], axis=-1) - others[:, 3] - radii[i]
            if (gaps < 40).any():
                continue
            beads = 1 + 0.12 * np.sin(np.linspace(0, rng.uniform(2, 9), len(axis)) + rng.uniform(0, 6))
            mitochondria.append(Mitochondrion.random(rng, cell, axis, radii[i] * beads))
            taken[cell] = np.vstack([others, np.column_stack([axis, radii[i] * beads])])
            length = np.linalg.norm(np.diff(axis, axis=0), axis=1).sum()
            filled += np.pi * radii[i] ** 2 * (length + 4 / 3 * radii[i])
            if filled >= fraction * volume:
                break
    return mitochondria, np.concatenate(list(taken.values()))


class Organelles:
    """Lysosomes and multivesicular bodies, vesicles in clusters, and microtubules, where no mitochondrion is.

    Args:
        rng: source of the organelles.
        cells: of the block.
        low: lower corner (3,) of the block in nanometres.
        high: upper corner (3,).
        occupied: centres and radii (n, 4) of the spheres that are filled already.

    Attributes:
        bodies: (n, 5), centre, radius and kind in [0, 1) of each body.
        vesicles: (n, 5), centre, radius and whether its core is dense.
        tubules: (n, 6), both ends of each microtubule.
    """

    def __init__(
        self, rng: np.random.Generator, cells: Cells, low: FloatArray, high: FloatArray, occupied: FloatArray
    ) -> None:
        self._cells, self._occupied = cells, occupied
        volume = np.prod(high - low)
        count = int(volume / 600**3)
        centres = rng.uniform(low, high, (count, 3))
        radii = rng.uniform(40, 100, count)
        keep = self._free(centres, radii * 0.8)
        self.bodies = np.column_stack([centres, radii, rng.random(count)])[keep]
        self._occupied = np.vstack([self._occupied, self.bodies[:, :4]])

        clusters = rng.uniform(low, high, (int(volume / 650**3), 3))
        size = rng.geometric(1 / 60, len(clusters))
        vesicles = np.repeat(clusters, size, axis=0) + rng.normal(0, 110, (size.sum(), 3))
        vesicles = np.vstack([vesicles, rng.uniform(low, high, (int(volume / 280**3), 3))])
        radii = rng.normal(19, 3, len(vesicles)).clip(13, 30)
        core = rng.random(len(vesicles)) < 0.07
        radii[core] *= 1.6
        self.vesicles = np.column_stack([vesicles, radii, core])[self._free(vesicles, radii, 8)]

        count = int(volume / 420**3)
        anchors = rng.uniform(low, high, (count, 3))
        course = unit(rng.normal(size=(count, 3)))
        bundle = rng.integers(2, 7, count)
        starts = np.repeat(anchors, bundle, axis=0) + rng.normal(0, 70, (bundle.sum(), 3))
        course = np.repeat(course, bundle, axis=0)
        steps = np.linspace(-400, 400, STEPS)
        tubules = starts[:, None] + steps[:, None] * course[:, None]
        inside = self._free(tubules.reshape(-1, 3), np.full(len(tubules) * STEPS, 12.0), 6)
        first, last = _run_through_middle(inside.reshape(tubules.shape[:2]))
        rows = np.flatnonzero(last - first >= 2)
        self.tubules = np.concatenate([tubules[rows, first[rows]], tubules[rows, last[rows] - 1]], axis=1)

    def _free(self, points: FloatArray, radii: FloatArray, gap: float = 15) -> NDArray[np.bool_]:
        """Whether spheres lie within a cell and touch nothing in it."""
        keep = self._cells.at(points)[1] > radii + gap
        if len(self._occupied):
            near = cKDTree(self._occupied[:, :3]).query(points, 24, distance_upper_bound=800)
            index = np.minimum(near[1], len(self._occupied) - 1)
            keep &= (near[0] - self._occupied[index, 3]).min(axis=1) > radii + gap
        return keep


def _run_through_middle(inside: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Bounds, as of a slice, of the unbroken run through the middle of each row of (n, STEPS)."""
    before = np.logical_and.accumulate(inside[:, MIDDLE::-1], axis=1).sum(axis=1)
    after = np.logical_and.accumulate(inside[:, MIDDLE:], axis=1).sum(axis=1)
    return MIDDLE + 1 - before, MIDDLE + after
