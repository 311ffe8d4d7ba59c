"""Phantom tissue: synthetic serial sections of nervous tissue with known mitochondria.

All structures are functions of position in a three-dimensional tissue, so any section is computed on its own and
mitochondria, cristae and membranes continue from section to section. Lengths are in nanometres unless said otherwise.
No particular specimen is imitated: sizes are the usual ones of neuropil, grey levels those of heavy-metal stain, with
membranes dark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

__all__ = ["Deformation", "PhantomTissue", "acquire"]

FloatArray = NDArray[np.floating]

MARGIN = 800.0  # tissue generated around the block, so that objects cut by its faces are as frequent as inside
IMAGING_DEPTH = 25.0  # of one section: oblique membranes blur over it, as with back-scattered electrons
MEMBRANE_SIGMA = 7.0
ROUNDING = 9.0  # of the corners of cells
STEPS = 15  # points along the axis of a tube
MIDDLE = STEPS // 2


class _PlaneWaves:
    """Smooth Gaussian random field of zero mean and unit variance, as a sum of random plane waves.

    The spectral method (Shinozuka and Deodatis 1991): it can be evaluated anywhere, and on a grid it costs one matrix
    product, since each wave is separable.
    """

    def __init__(self, rng: np.random.Generator, shortest: float, longest: float, waves: int = 48) -> None:
        direction = rng.normal(size=(3, waves))
        direction /= np.linalg.norm(direction, axis=0)
        self.vectors = direction * (2 * np.pi / rng.uniform(shortest, longest, waves))
        self.phases = rng.uniform(0, 2 * np.pi, waves)
        self.scale = np.sqrt(2 / waves)

    def __call__(self, points: FloatArray) -> FloatArray:
        return self.scale * np.cos(points @ self.vectors + self.phases).sum(axis=-1)

    def on_section(self, x: FloatArray, y: FloatArray, z: float) -> FloatArray:
        along_x = np.outer(x, self.vectors[0])
        along_y = np.outer(self.vectors[1], y) + (self.vectors[2] * z + self.phases)[:, None]
        left = np.hstack([np.cos(along_x), -np.sin(along_x)]).astype(np.float32)
        right = np.vstack([np.cos(along_y), np.sin(along_y)]).astype(np.float32)
        return np.float32(self.scale) * (left @ right)


def _run_through_middle(inside: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Bounds, as of a slice, of the unbroken run through the middle of each row of (n, STEPS)."""
    before = np.logical_and.accumulate(inside[:, MIDDLE::-1], axis=1).sum(axis=1)
    after = np.logical_and.accumulate(inside[:, MIDDLE:], axis=1).sum(axis=1)
    return MIDDLE + 1 - before, MIDDLE + after


@dataclass
class _Mitochondrion:
    cell: int
    axis: FloatArray  # (points, 3)
    radii: FloatArray  # (points,)
    lamella_normal: FloatArray  # (3,) unit vector across the cristae
    lamella_side: FloatArray  # (3,) unit vector along which a crista reaches in from one side
    period: float
    reach: FloatArray  # (lamellae,) how far each crista reaches in, in [-1, 1]; its sign says from which side
    matrix: float  # grey level


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _line(distance: FloatArray, sigma: float, tilt: FloatArray | float = 0.0) -> FloatArray:
    """Darkness at a distance from a membrane, averaged over the imaging depth where the membrane is oblique.

    `tilt` is the component of the membrane's unit normal along z: the average runs over IMAGING_DEPTH * tilt of the
    distance. Its box is replaced by the Gaussian of equal variance.
    """
    width = np.sqrt(sigma**2 + np.square(IMAGING_DEPTH * tilt) / 12)
    return sigma / width * np.exp(-0.5 * np.square(distance / width))


def _step(distance: FloatArray, width: float) -> FloatArray:
    return np.clip(distance / width + 0.5, 0, 1)


class PhantomTissue:
    """A block of synthetic tissue that gives its sections one by one.

    Args:
        seed: anything that ``numpy.random.SeedSequence`` or ``default_rng`` accepts; equal seeds give equal tissue.
        size: width and height of a section in pixels.
        sections: number of sections.
        pixel_size: nanometres per pixel.
        thickness: section thickness in nanometres.
        fraction: part of the volume that mitochondria shall fill, roughly and as far as the cells have room, in
            (0, 0.3]; the default gives 5 to 10 % of the area of a section.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        seed: int | np.random.SeedSequence,
        size: tuple[int, int],
        sections: int,
        pixel_size: float = 5.0,
        thickness: float = 50.0,
        fraction: float = 0.13,
    ) -> None:
        if min(size) < 1 or sections < 1:
            raise ValueError(f"size and sections must be at least 1, got {size} and {sections}")
        if not (pixel_size > 0 and thickness > 0):
            raise ValueError(f"pixel_size and thickness must be positive, got {pixel_size} and {thickness}")
        if not 0 < fraction <= 0.3:
            raise ValueError(f"fraction must lie in (0, 0.3], got {fraction}")
        self.pixel_size = pixel_size
        self.thickness = thickness
        self.seed = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        extent = np.array([size[0] * pixel_size, size[1] * pixel_size, sections * thickness])
        self.low, self.high = np.full(3, -MARGIN), extent + MARGIN
        self.volume = np.prod(self.high - self.low)
        rng = np.random.default_rng(self.seed)
        self._make_cells(rng)
        self._make_mitochondria(rng, fraction)
        # the block is moved so that its middle lies in a thick mitochondrion: the smallest block shows one
        origins = np.array([body.axis[len(body.axis) // 2] for body in self.mitochondria]) - extent / 2
        distances = np.linalg.norm(origins, axis=1)
        radii = np.array([body.radii.mean() for body in self.mitochondria])
        origin = origins[np.where(distances < MARGIN / 2, radii, -distances).argmax()]
        self.x = origin[0] + np.arange(size[0]) * pixel_size
        self.y = origin[1] + np.arange(size[1]) * pixel_size
        self.z = origin[2] + (np.arange(sections) + 0.5) * thickness
        self._make_bodies(rng)
        self.reticulum = _PlaneWaves(rng, 150, 500)
        self.reticulum_extent = _PlaneWaves(rng, 300, 900)
        self.shape_noise = _PlaneWaves(rng, 150, 450)
        self.lamella_noise = _PlaneWaves(rng, 250, 700)
        self.synapses = _PlaneWaves(rng, 250, 700)
        self.cloud = _PlaneWaves(rng, 80, 400, waves=96)

    def _make_cells(self, rng: np.random.Generator) -> None:
        """Cells are unions of the Voronoi cells of random points, bent by a smooth warp."""
        self.warps = [
            (amplitude, [_PlaneWaves(rng, shortest, longest) for _ in range(3)])
            for amplitude, shortest, longest in ((80.0, 500, 1500), (14.0, 120, 400))
        ]
        self.points = rng.uniform(self.low, self.high, (int(self.volume / 330**3), 3))
        self.tree = cKDTree(self.points)
        centres = rng.uniform(self.low, self.high, (max(1, int(self.volume / 850**3)), 3))
        cell_of = cKDTree(centres).query(self.points)[1]
        bundle = rng.random(len(centres)) < 0.4  # a bundle of thin processes: each point is its own cell
        thin = bundle[cell_of]
        cell_of[thin] = len(centres) + np.arange(thin.sum())
        self.cell_of = cell_of
        cells = len(centres) + int(thin.sum())
        self.cell_grey = np.clip(rng.normal(0.66, 0.05, cells), 0.5, 0.78)
        dark = rng.random(cells) < 0.05  # glia-like, paler than most mitochondria
        self.cell_grey[dark] = rng.uniform(0.5, 0.58, int(dark.sum()))
        self.cell_grain = rng.uniform(0.5, 1.5, cells)

    def _cells_at(
        self, points: FloatArray, warp: FloatArray, neighbours: int
    ) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
        """Cell index, distance to the cell's border and darkness of its membrane, for points and warp (n, 3)."""
        distances, index = self.tree.query(points + warp, neighbours)
        cells = self.cell_of[index]
        offsets = self.points[index] - self.points[index[:, :1]]
        between = np.linalg.norm(offsets, axis=-1)
        own = cells == cells[:, :1]
        between[own] = 1
        border = np.where(own, 1e3, (distances**2 - distances[:, :1] ** 2) / (2 * between))
        membrane = _line(border, MEMBRANE_SIGMA, offsets[..., 2] / between).max(axis=1)
        # the soft minimum rounds the corners of the cells; what is left between them is dark
        least = border.min(axis=1, keepdims=True)
        border = least[:, 0] - ROUNDING * np.log(np.exp((least - border) / ROUNDING).sum(axis=1))
        membrane = np.maximum(membrane, np.exp(-0.5 * np.square(np.maximum(border, 0) / MEMBRANE_SIGMA)))
        return cells[:, 0], border, membrane

    def _cells_on_section(self, z: float) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
        """What `_cells_at` gives, for all pixels of a section."""
        strips = []
        columns = max(1, 2**17 // len(self.y))  # bounds the memory
        for x in np.split(self.x, range(columns, len(self.x), columns)):
            points = np.stack(np.broadcast_arrays(x[:, None], self.y[None], z), axis=-1)
            warp = sum(
                amplitude * np.stack([w.on_section(x, self.y, z) for w in waves], axis=-1)
                for amplitude, waves in self.warps
            )
            found = self._cells_at(points.reshape(-1, 3), warp.reshape(-1, 3), 6)
            strips.append([a.reshape(points.shape[:2]) for a in found])
        cells, border, membrane = (np.concatenate(part) for part in zip(*strips, strict=True))
        return cells, border, membrane

    def _probe(self, points: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
        """Cell index and distance to its border at scattered points (..., 3)."""
        flat = points.reshape(-1, 3)
        warp = sum(amplitude * np.stack([w(flat) for w in waves], axis=-1) for amplitude, waves in self.warps)
        cells, border, _ = self._cells_at(flat, warp, 12)
        return cells.reshape(points.shape[:-1]), border.reshape(points.shape[:-1])

    def _make_mitochondria(self, rng: np.random.Generator, fraction: float) -> None:
        """Curved tubes as long and as thick as their cell lets them be."""
        self.mitochondria: list[_Mitochondrion] = []
        steps = np.linspace(-1, 1, STEPS)
        taken: dict[int, NDArray[np.floating]] = {}  # (n, 4) centres and radii of the spheres that fill each cell
        filled = 0.0
        count = int(self.volume / 450**3)
        for _ in range(40):
            if filled >= fraction * self.volume:
                break
            centre = rng.uniform(self.low, self.high, (count, 3))
            direction = _unit(rng.normal(size=(count, 3)))
            bend = np.cross(direction, _unit(rng.normal(size=(count, 3)))) * rng.uniform(0, 0.35, (count, 1))
            half_length = rng.gamma(4, 110, count) + 80
            axes = centre[:, None] + half_length[:, None, None] * (
                steps[:, None] * direction[:, None] + (steps**2)[:, None] * bend[:, None]
            )
            cells, border = self._probe(axes)
            radii = np.minimum(rng.uniform(75, 240, count), 1.05 * border[:, MIDDLE])
            first, last = _run_through_middle((cells == cells[:, [MIDDLE]]) & (border > 0.75 * radii[:, None]))
            for i in np.flatnonzero((radii > 70) & (last - first >= 2)):
                axis = axes[i, first[i] : last[i]]
                cell = int(cells[i, MIDDLE])
                others = taken.get(cell, np.empty((0, 4)))
                gaps = np.linalg.norm(axis[:, None] - others[:, :3], axis=-1) - others[:, 3] - radii[i]
                if (gaps < 40).any():
                    continue
                beads = 1 + 0.12 * np.sin(np.linspace(0, rng.uniform(2, 9), len(axis)) + rng.uniform(0, 6))
                self.mitochondria.append(self._mitochondrion(rng, cell, axis, radii[i] * beads))
                taken[cell] = np.vstack([others, np.column_stack([axis, radii[i] * beads])])
                length = np.linalg.norm(np.diff(axis, axis=0), axis=1).sum()
                filled += np.pi * radii[i] ** 2 * (length + 4 / 3 * radii[i])
                if filled >= fraction * self.volume:
                    break
        self._occupied = np.concatenate(list(taken.values()))

    def _mitochondrion(
        self, rng: np.random.Generator, cell: int, axis: FloatArray, radii: FloatArray
    ) -> _Mitochondrion:
        along = _unit(axis[-1] - axis[0])
        normal = along if rng.random() < 0.55 else np.cross(along, rng.normal(size=3))
        normal = _unit(_unit(normal) + 0.25 * rng.normal(size=3))
        normal = _unit(normal * [1, 1, 0.15])  # steep enough to be followed at 50 nm
        side = _unit(np.cross(normal, rng.normal(size=3)))
        reach = rng.uniform(0.0, 1.4, 64) * rng.choice([-1, 1], 64)
        matrix = rng.uniform(0.28, 0.42) if rng.random() < 0.85 else rng.uniform(0.42, 0.52)
        return _Mitochondrion(cell, axis, radii, normal, side, rng.uniform(38, 62), reach, matrix)

    def _make_bodies(self, rng: np.random.Generator) -> None:
        """Lysosomes and multivesicular bodies, vesicles in clusters, and microtubules."""

        def free(points: FloatArray, radii: FloatArray, gap: float = 15) -> NDArray[np.bool_]:
            border = self._probe(points)[1]
            keep = border > radii + gap
            if len(self._occupied):
                near = cKDTree(self._occupied[:, :3]).query(points, 24, distance_upper_bound=800)
                index = np.minimum(near[1], len(self._occupied) - 1)
                keep &= (near[0] - self._occupied[index, 3]).min(axis=1) > radii + gap
            return keep

        count = int(self.volume / 600**3)
        centres = rng.uniform(self.low, self.high, (count, 3))
        radii = rng.uniform(40, 100, count)
        keep = free(centres, radii * 0.8)
        self.bodies = np.column_stack([centres, radii, rng.random(count)])[keep]
        self._occupied = np.vstack([self._occupied, self.bodies[:, :4]])

        clusters = rng.uniform(self.low, self.high, (int(self.volume / 650**3), 3))
        size = rng.geometric(1 / 60, len(clusters))
        vesicles = np.repeat(clusters, size, axis=0) + rng.normal(0, 110, (size.sum(), 3))
        vesicles = np.vstack([vesicles, rng.uniform(self.low, self.high, (int(self.volume / 280**3), 3))])
        radii = rng.normal(19, 3, len(vesicles)).clip(13, 30)
        core = rng.random(len(vesicles)) < 0.07
        radii[core] *= 1.6
        self.vesicles = np.column_stack([vesicles, radii, core])[free(vesicles, radii, 8)]

        count = int(self.volume / 420**3)
        anchors = rng.uniform(self.low, self.high, (count, 3))
        course = _unit(rng.normal(size=(count, 3)))
        bundle = rng.integers(2, 7, count)
        starts = np.repeat(anchors, bundle, axis=0) + rng.normal(0, 70, (bundle.sum(), 3))
        course = np.repeat(course, bundle, axis=0)
        steps = np.linspace(-400, 400, STEPS)
        tubules = starts[:, None] + steps[:, None] * course[:, None]
        inside = free(tubules.reshape(-1, 3), np.full(len(tubules) * STEPS, 12.0), 6).reshape(tubules.shape[:2])
        first, last = _run_through_middle(inside)
        rows = np.flatnonzero(last - first >= 2)
        self.tubules = np.concatenate([tubules[rows, first[rows]], tubules[rows, last[rows] - 1]], axis=1)

    def section(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Compute one section, as an ideal microscope would show it.

        Args:
            index: which section, counted from 0.

        Returns:
            The section, float32 (width, height), grey level with 0 black and 1 white; and its truth, uint8 of the same
            shape, 1 in mitochondria (outer membrane included) and 0 elsewhere.

        Raises:
            ValueError: if there is no such section.
        """
        if not 0 <= index < len(self.z):
            raise ValueError(f"index must lie in 0 .. {len(self.z) - 1}, got {index}")
        z = self.z[index]
        rng = np.random.default_rng([*self.seed.generate_state(4), index])
        shape = (len(self.x), len(self.y))
        cells, border, membrane = self._cells_on_section(z)

        grain = gaussian_filter(rng.normal(size=shape), 8 / self.pixel_size)
        grain /= grain.std()
        cloud = self.cloud.on_section(self.x, self.y, z)
        granules = np.minimum(grain + 0.6 * cloud + 0.3, 0)  # dark only: ribosomes, glycogen, filaments
        grey = self.cell_grey[cells] + self.cell_grain[cells] * (0.02 * grain + 0.02 * cloud + 0.075 * granules)

        self._draw_reticulum(grey, border, z)
        self._draw_tubules(grey, z)
        self._draw_vesicles(grey, z)
        self._draw_bodies(grey, border, z, rng)
        truth = self._draw_mitochondria(grey, cells, border, z, grain)

        synapse = _step(self.synapses.on_section(self.x, self.y, z) - 1.5, 0.5)
        density = synapse * np.exp(-np.maximum(border, 0) / 18)
        grey = grey * (1 - 0.85 * membrane) * (1 - 0.8 * density)
        return grey.astype(np.float32), truth

    def _window(self, centre: FloatArray, reach: float) -> tuple[slice, slice] | None:
        centre = centre[:2] - (self.x[0], self.y[0])
        low = np.floor((centre - reach) / self.pixel_size).astype(int)
        high = np.ceil((centre + reach) / self.pixel_size).astype(int) + 1
        low, high = np.maximum(low, 0), np.minimum(high, [len(self.x), len(self.y)])
        return None if (low >= high).any() else (slice(low[0], high[0]), slice(low[1], high[1]))

    def _offsets(self, window: tuple[slice, slice], centre: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.x[window[0], None] - centre[0], self.y[None, window[1]] - centre[1]

    def _draw_reticulum(self, grey: FloatArray, border: FloatArray, z: float) -> None:
        """Smooth sheets, cut into double lines: where a random field crosses zero."""
        field = self.reticulum.on_section(self.x, self.y, z)
        slope = np.hypot(*np.gradient(field, self.pixel_size)) + 1e-4
        distance = np.abs(field) / slope
        extent = _step(self.reticulum_extent.on_section(self.x, self.y, z) - 1.0, 0.3) * _step(border - 60, 30)
        lumen = _step(14 - distance, 8)
        grey += extent * (0.06 * lumen - 0.28 * _line(distance - 16, 5.0))

    def _draw_tubules(self, grey: FloatArray, z: float) -> None:
        """Two parallel lines where a microtubule runs in the section, a small ring where it crosses it."""
        starts, along = self.tubules[:, :3], self.tubules[:, 3:] - self.tubules[:, :3]
        # the part inside the section's thickness
        rise = np.where(np.abs(along[:, 2]) < 1, 1.0, along[:, 2])
        limits = (z + self.thickness / 2 * np.array([[-1], [1]]) - starts[:, 2]) / rise
        enter, leave = np.clip(limits.min(axis=0), 0, 1), np.clip(limits.max(axis=0), 0, 1)
        for i in np.flatnonzero(leave > enter):
            start, stop = starts[i] + enter[i] * along[i], starts[i] + leave[i] * along[i]
            window = self._window((start + stop) / 2, 25 + np.linalg.norm((stop - start)[:2]) / 2)
            if window is None:
                continue
            points = np.stack(np.broadcast_arrays(*self._offsets(window, start)), axis=-1)
            distance = _from_segment(points, np.zeros(2), (stop - start)[:2])[0]
            grey[window] *= 1 + 0.08 * _step(6 - distance, 6) - 0.3 * _line(distance - 11, 4.5)

    def _draw_vesicles(self, grey: FloatArray, z: float) -> None:
        depth = np.maximum(np.abs(self.vesicles[:, 2] - z) - IMAGING_DEPTH / 2, 0)
        cut = depth < self.vesicles[:, 3]
        radii = np.sqrt(self.vesicles[cut, 3] ** 2 - depth[cut] ** 2)
        for vesicle, radius in zip(self.vesicles[cut], radii, strict=True):
            window = self._window(vesicle, radius + 15)
            if window is None:
                continue
            distance = np.hypot(*self._offsets(window, vesicle))
            ring = _line(distance - radius, 4.5)
            inside = _step(radius - distance, 8)
            patch = grey[window]
            patch += 0.06 * inside
            patch *= 1 - 0.45 * ring
            if vesicle[4]:
                patch *= 1 - 0.7 * _step(0.62 * radius - distance, 10)

    def _draw_bodies(self, grey: FloatArray, border: FloatArray, z: float, rng: np.random.Generator) -> None:
        """Dark bodies that are not mitochondria: lysosomes, and bodies with a light lumen or vesicles in it."""
        for x, y, depth, size, kind in self.bodies:
            if abs(depth - z) >= size:
                continue
            radius = np.sqrt(size**2 - (depth - z) ** 2)
            window = self._window(np.array([x, y]), 1.5 * radius + 30)
            if window is None:
                continue
            dx, dy = self._offsets(window, np.array([x, y]))
            angle = np.arctan2(dy, dx)
            lobes = 1 + 0.15 * np.cos(2 * angle + 9 * kind) + 0.05 * np.cos(3 * angle + 50 * kind)
            distance = np.minimum(radius * lobes - np.hypot(dx, dy), border[window] - 12)
            tilt = 0.9 * (z - depth) / size
            inside = _step(distance, 10 + IMAGING_DEPTH * abs(tilt))
            patch = grey[window]
            noise = gaussian_filter(rng.normal(size=patch.shape), 3)
            if kind < 0.5:  # lysosome
                fill = 0.20 + 0.25 * kind + 0.5 * noise
            elif kind < 0.75:  # multivesicular body
                fill = 0.62 + 1.6 * np.minimum(noise, 0)
            else:  # endosome or vacuole
                fill = 0.72 + 0.1 * noise
            patch += inside * (fill - patch)
            patch *= 1 - 0.6 * np.clip(_line(distance - 4, 5.5, tilt), 0, 1)

    def _draw_mitochondria(
        self, grey: FloatArray, cells: NDArray[np.intp], border: FloatArray, z: float, grain: FloatArray
    ) -> NDArray[np.uint8]:
        truth = np.zeros(grey.shape, np.uint8)
        shape_noise = self.shape_noise.on_section(self.x, self.y, z)
        lamella_noise = self.lamella_noise.on_section(self.x, self.y, z)
        for body in self.mitochondria:
            reach = body.radii.max() + 60
            if abs(body.axis[:, 2] - z).min() > reach:
                continue
            middle = (body.axis.min(axis=0) + body.axis.max(axis=0)) / 2
            window = self._window(middle, reach + np.ptp(body.axis[:, :2], axis=0).max() / 2)
            if window is None:
                continue
            dx, dy = self._offsets(window, middle)
            points = np.stack(np.broadcast_arrays(dx, dy, z - middle[2]), axis=-1)
            distance, tilt = _tube(points, body.axis - middle, body.radii)
            distance = np.minimum(distance + 10 * shape_noise[window], border[window] - 14)
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
            present = _step(np.abs(reach_in) - 0.3 + np.sign(reach_in) * side, 0.3)
            blur = np.sinc(IMAGING_DEPTH * body.lamella_normal[2] / body.period)
            lamella = present * blur * (_line(offset - 6, 4.5) - 0.5 * _line(offset, 3.5))
            lamella *= _step(distance - 24, 8)

            inside = _step(distance, 6 + IMAGING_DEPTH * np.abs(tilt))
            patch = grey[window]
            fill = body.matrix + 0.025 * grain[window] - 0.3 * lamella
            membranes = _line(distance - 4, 5.0, tilt) + _line(distance - 20, 4.5, tilt)
            fill = fill + 0.10 * _line(distance - 12, 4.0)
            patch += inside * (fill * (1 - 0.6 * np.clip(membranes, 0, 1)) - patch)
        return truth


def _from_segment(points: FloatArray, start: FloatArray, stop: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distance from a segment, position of the nearest point on it in [0, 1], and offset from that point."""
    along = stop - start
    position = np.clip((points - start) @ along / np.maximum(along @ along, 1e-6), 0, 1)
    offset = points - start - position[..., None] * along
    return np.linalg.norm(offset, axis=-1), position, offset


def _tube(points: FloatArray, axis: FloatArray, radii: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distance to the surface of a tube around a polyline, positive inside, and the tilt of the surface's normal."""
    best = np.full(points.shape[:-1], -np.inf)
    tilt = np.zeros_like(best)
    for i in range(len(axis) - 1):
        length, position, offset = _from_segment(points, axis[i], axis[i + 1])
        distance = radii[i] + position * (radii[i + 1] - radii[i]) - length
        closer = distance > best
        best[closer] = distance[closer]
        tilt[closer] = (offset[..., 2] / np.maximum(length, 1))[closer]
    return best, tilt


def acquire(section: FloatArray, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Image an ideal section as a microscope does, each time with other settings.

    Blur of the beam, uneven brightness, contrast, brightness and gamma drawn per section, shot noise, 8 bits.

    Args:
        section: grey level (width, height), 0 black to 1 white.
        rng: source of the settings and of the noise.

    Returns:
        The picture, uint8 (width, height).
    """
    image = gaussian_filter(np.asarray(section, np.float64), rng.uniform(0.6, 1.0))
    slope = rng.uniform(-0.06, 0.06, 2)
    gradient = slope[0] * np.linspace(-1, 1, image.shape[0])[:, None] + slope[1] * np.linspace(-1, 1, image.shape[1])
    image = np.clip(image, 0.01, 1) ** rng.uniform(0.75, 1.35)
    image = 0.5 + rng.uniform(-0.12, 0.12) + rng.uniform(0.65, 1.15) * (image - 0.5) + gradient
    noise = gaussian_filter(rng.normal(size=image.shape), 0.5)
    image += rng.uniform(0.04, 0.08) * np.sqrt(np.clip(image, 0.05, 1)) * noise / 0.55
    return np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)


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
            bend = [_PlaneWaves(rng, 0.5 * longer, 1.5 * longer, waves=16).on_section(*axes, 0) for _ in range(2)]
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
