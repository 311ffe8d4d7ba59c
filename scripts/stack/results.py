"""What is written for each section of an aligned stack."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scripts.figures import save_picture
from scripts.io import Section, read_header, read_section, write_atomically, write_section
from scripts.registration import Transformation, qc_panel, warp

from .canvas import fill_uncovered
from .images import SectionImages, to_eight_bit
from .store import Store

if TYPE_CHECKING:
    from scripts.io.volume import Volume

__all__ = ["ResultWriter"]

logger = logging.getLogger(__name__)

PANEL_SIZE = 700
"""Pixels of the longer side of each part of a panel."""

Views = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""A section as it was and as it is aligned, both small."""


class ResultWriter:
    """Warps sections and writes them.

    Args:
        images: the sections.
        sections: themselves, whose geometry results take over.
        names: of the sections.
        store: where they are written.
        size: width and height of the aligned stack in pixels.
        pixel_size_nm: of the aligned stack, (x, y); None where it is not known, and sections state their own.
        interpolation: ``"cubic"`` or ``"lanczos"``.
        fill: see `fill_uncovered`.
    """

    def __init__(
        self,
        images: SectionImages,
        sections: Sequence[Section],
        names: Sequence[str],
        store: Store,
        size: tuple[int, int],
        pixel_size_nm: tuple[float, float] | None,
        interpolation: str,
        fill: str,
    ) -> None:
        self.images = images
        self.sections = [
            section if pixel_size_nm is None else replace(section, pixel_size_nm=pixel_size_nm) for section in sections
        ]
        self.names = names
        self.store = store
        self.size = size
        self.interpolation = interpolation
        self.fill = fill
        self._volumes = None if store.output_format == "tif" else self._open_volumes()

    def _open_volumes(self) -> dict[str, Volume]:
        """The volumes of aligned sections and of where they have a source, made if they are not there."""
        from scripts.io.volume import Volume

        first, (width, height) = self.sections[0], self.size
        size = first.pixel_size_nm or (None, None)
        voxel = (first.header.form.get("section_thickness_nm"), *size[::-1])
        for key, path in self.store.volumes().items():
            if not path.exists():
                # panels are written last: without them no section counts as done, of which a new volume holds none
                for name in self.names:
                    self.store.results(name)["qc"].unlink(missing_ok=True)
                options = {"average": False, "result": True} if key == "valid" else {}
                dtype = np.uint8 if key == "valid" else first.dtype
                shape = (len(self.sections), height, width)
                Volume.create(path, shape, dtype, voxel, **options)
            elif first.pixel_size_nm is not None:
                Volume(path).restate(voxel)
        return {key: Volume(path) for key, path in self.store.volumes().items()}

    def write_all(self, transformations: Sequence[Transformation], num_workers: int = 1) -> list[float]:
        """Write what is lacking for each section.

        Args:
            transformations: of all sections.
            num_workers: sections that are warped at once.

        Returns:
            For each section the share of the aligned section where it has no source.
        """
        shares: list[float] = []
        before: Views | None = None
        with ThreadPoolExecutor(num_workers) as pool:
            waiting: deque[Future] = deque()
            for index in tqdm(range(len(transformations)), desc="warping", unit="section"):
                # no more than are being warped: an error ends the run, and a disk that is full has no more to take
                while len(waiting) < num_workers and index + len(waiting) < len(transformations):
                    ahead = index + len(waiting)
                    waiting.append(pool.submit(self._warp, ahead, transformations[ahead]))
                share, now = waiting.popleft().result()
                panel = self.store.results(self.names[index])["qc"]
                if now is not None:
                    if before is None and index:
                        before = self._read_views(index - 1)
                    save_picture(qc_panel(before, now, transformations[index], self.size), panel)
                shares.append(share)
                before = now
        for volume in (self._volumes or {}).values():
            volume.complete()
        return shares

    def _warp(self, index: int, transformation: Transformation) -> tuple[float, Views | None]:
        """Write a section and its valid mask, and give the share without source; and the views, if it was not there."""
        valid = self._valid_before(index)
        if valid is not None:
            return float(np.mean(valid == 0)), None
        results = self.store.results(self.names[index])
        pixels = self.images.whole(index)
        aligned, valid = warp(pixels, transformation, self.size, self.interpolation)
        own = self.images.valid(index)
        if own is not None:
            valid &= warp(own.astype(np.uint8), transformation, self.size, "nearest")[0] > 0
            aligned[~valid] = 0
        now = _views(pixels, aligned)
        del pixels  # a whole section less while the results are written
        fill_uncovered(aligned, valid, self.fill)
        covered = np.where(valid, np.uint8(255), np.uint8(0))
        if self._volumes is None:
            write_section(results["images"], aligned, like=self.sections[index])
            write_section(results["valid"], covered, result=True)
        else:
            self._volumes["images"].write(index, aligned.T)
            self._volumes["valid"].write(index, covered.T)
        write_atomically(results["transformations"], lambda path: transformation.save(path, self.size))
        return float(1 - valid.mean()), now

    def _valid_before(self, index: int) -> NDArray[np.uint8] | None:
        """The valid mask of a section that an earlier run finished; None where that is to be done (again)."""
        results = self.store.results(self.names[index])
        if not all(file.exists() for file in results.values()):
            return None
        try:
            Transformation.load(results["transformations"])
            valid = self._read("valid", index)
            if self._volumes is not None:
                return valid
            header, image = read_header(results["images"]), self._read("images", index)
        except ValueError as error:
            logger.warning("%s; the section is warped again", error)
            return None
        states = header.doubt is not None or header.states(self.sections[index].pixel_size_nm)
        return valid if states and image.shape == valid.shape == self.size else None

    def _read(self, key: str, index: int) -> NDArray[Any]:
        """What was written of a section, (width, height)."""
        if self._volumes is None:
            return read_section(self.store.results(self.names[index])[key])
        return self._volumes[key].levels[0][index].T

    def _read_views(self, index: int) -> Views:
        aligned = self._read("images", index)
        aligned[self._read("valid", index) == 0] = 0
        return _views(self.images.whole(index), aligned)


def _views(pixels: NDArray[Any], aligned: NDArray[Any]) -> Views:
    factor = max(1, -(-max(aligned.shape) // PANEL_SIZE))
    return to_eight_bit(pixels, factor), to_eight_bit(aligned, factor)
