"""A block of phantom tissue.

All structures are functions of position in a three-dimensional tissue, so any section is computed on its own and
mitochondria, cristae and membranes continue from section to section. Lengths are in nanometres unless said otherwise.
No particular specimen is imitated: sizes are the usual ones of neuropil, grey levels those of heavy-metal stain, with
membranes dark.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .cells import Cells
from .drawing import SectionDrawing
from .geometry import smooth_step
from .organelles import Organelles, grow_mitochondria
from .waves import PlaneWaves

__all__ = ["PhantomTissue"]

MARGIN = 800.0  # tissue generated around the block, so that objects cut by its faces are as frequent as inside


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
            raise ValueError(f"size and sections must be at least 1, but got {size} and {sections}")
        if not (pixel_size > 0 and thickness > 0):
            raise ValueError(f"pixel_size and thickness must be positive, but got {pixel_size} and {thickness}")
        if not 0 < fraction <= 0.3:
            raise ValueError(f"fraction must lie in (0, 0.3], but got {fraction}")
        self.pixel_size = pixel_size
        self.thickness = thickness
        self.seed = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        extent = np.array([size[0] * pixel_size, size[1] * pixel_size, sections * thickness])
        low, high = np.full(3, -MARGIN), extent + MARGIN
        rng = np.random.default_rng(self.seed)
        self._cells = Cells(rng, low, high)
        self.mitochondria, occupied = grow_mitochondria(rng, self._cells, low, high, fraction)
        # the block is moved so that its middle lies in a thick mitochondrion: the smallest block shows one
        origins = np.array([body.axis[len(body.axis) // 2] for body in self.mitochondria]) - extent / 2
        distances = np.linalg.norm(origins, axis=1)
        radii = np.array([body.radii.mean() for body in self.mitochondria])
        origin = origins[np.where(distances < MARGIN / 2, radii, -distances).argmax()]
        self.x = origin[0] + np.arange(size[0]) * pixel_size
        self.y = origin[1] + np.arange(size[1]) * pixel_size
        self.z = origin[2] + (np.arange(sections) + 0.5) * thickness
        self._organelles = Organelles(rng, self._cells, low, high, occupied)
        self._reticulum = PlaneWaves(rng, 150, 500)
        self._reticulum_extent = PlaneWaves(rng, 300, 900)
        self._shape_noise = PlaneWaves(rng, 150, 450)
        self._lamella_noise = PlaneWaves(rng, 250, 700)
        self._synapses = PlaneWaves(rng, 250, 700)
        self._cloud = PlaneWaves(rng, 80, 400, waves=96)

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
            raise ValueError(f"index must lie in 0 .. {len(self.z) - 1}, but got {index}")
        z = self.z[index]

        def field(waves: PlaneWaves) -> NDArray[np.float32]:
            return waves.on_section(self.x, self.y, z)

        rng = np.random.default_rng([*self.seed.generate_state(4), index])
        shape = (len(self.x), len(self.y))
        cells, border, membrane = self._cells.on_section(self.x, self.y, z)

        grain = gaussian_filter(rng.normal(size=shape), 8 / self.pixel_size)
        grain /= grain.std()
        cloud = field(self._cloud)
        granules = np.minimum(grain + 0.6 * cloud + 0.3, 0)  # dark only: ribosomes, glycogen, filaments
        grey = self._cells.grey[cells] + self._cells.grain[cells] * (0.02 * grain + 0.02 * cloud + 0.075 * granules)

        drawing = SectionDrawing(grey, border, self.x, self.y, z, self.pixel_size)
        drawing.reticulum(field(self._reticulum), field(self._reticulum_extent))
        drawing.tubules(self._organelles.tubules, self.thickness)
        drawing.vesicles(self._organelles.vesicles)
        drawing.bodies(self._organelles.bodies, rng)
        fields = field(self._shape_noise), field(self._lamella_noise)
        truth = drawing.mitochondria(self.mitochondria, cells, *fields, grain)

        synapse = smooth_step(field(self._synapses) - 1.5, 0.5)
        density = synapse * np.exp(-np.maximum(border, 0) / 18)
        grey = grey * (1 - 0.85 * membrane) * (1 - 0.8 * density)
        return grey.astype(np.float32), truth
