"""Segmentation of parts of a section that is too wide to be held as a whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
import zarr
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.utils import ImageMetaKey
from numpy.typing import NDArray

from scripts.crf import crf_window
from scripts.grey_levels import Read, SectionLevels, TransferFunction, Window
from scripts.inference import score_window
from scripts.io import Section, pixel_size_of, read_mask, read_section
from scripts.io.ome_zarr import OMEZarrReader
from scripts.io.reading import transposed

__all__ = ["WindowSegmentation"]

CHUNK = 1024
"""Pixels to the side of what is read at once of the tissue."""


class WindowSegmentation:
    """Segment parts of sections as ``run inference`` segments whole ones, by its own config.

    Grey levels and tissue are measured on the whole section, once, and kept in a folder for all workers. Of the pixels
    no more is read than the part depends on: the network sees the windows that it would see of the whole section, and
    the CRF what surrounds the part, see `scripts.crf.crf_window`.

    Args:
        parser: of the config of the inference, with its settings.
        sections: of a volume.
        folder: for what was measured on sections.

    Raises:
        ValueError: the way to equalise sections has to see them as a whole.
    """

    def __init__(self, parser: ConfigParser, sections: list[Section], folder: Path) -> None:
        get = parser.get_parsed_content
        if get("equalize") == "section":
            raise ValueError(
                "equalize must be 'tissue' or 'none' where a block is a part of a section, but got 'section'; choose "
                "another, or blocks as wide as the sections"
            )
        self.sections = sections
        self.folder = folder
        self.method, self.clip = get("equalize"), tuple(get("equalize_clip"))
        self.pixel_size = get("displayable_configs#pixel_size") or None
        self.default_pixel_size = get("network_pixel_size")
        self.network, self.inferer = get("network").eval(), get("inferer")
        self.crf = get("refinement").parameters if get("displayable_configs#use_crf") else None
        self.postprocessing = get("postprocessing")
        self._levels: tuple[int, SectionLevels] | None = None

    @torch.inference_mode()
    def segment(self, page: int, window: Window) -> None:
        """Segment a part of a section and write its results.

        Args:
            page: of the section.
            window: the part.

        Raises:
            ValueError: the section cannot be read.
            OSError: a result cannot be written.
        """
        section = self.sections[page]
        pixel_size = pixel_size_of(section, self.pixel_size, self.default_pixel_size)
        levels = self._measured(page, pixel_size)
        read = _reader(section)
        seen = crf_window(window, levels.shape, **self.crf) if self.crf else window
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, seen, strict=True))

        def view(part: Window) -> torch.Tensor:
            return torch.from_numpy(levels.window(read, part)[0])[None, None]

        if levels.has_tissue(window):
            scores = score_window(self.inferer, self.network, view, levels.shape, pixel_size, seen)[0]
        else:  # what the network would say does not matter
            scores = torch.zeros((1, *(side.stop - side.start for side in seen)))
        image, tissue = levels.window(read, seen)  # now: it would wait in memory while the network works
        meta = {
            ImageMetaKey.FILENAME_OR_OBJ: section.path,
            ImageMetaKey.SPATIAL_SHAPE: np.array(image.shape),
            "page": page,
            "inner": inner,
            "origin": (window[0].start, window[1].start),
        }
        self.postprocessing(
            {
                "image": MetaTensor(torch.from_numpy(image)[None], meta=meta),
                "pred": scores,
                "tissue": torch.from_numpy(tissue.view(np.uint8))[None],
            }
        )

    def _measured(self, page: int, pixel_size: list[float]) -> SectionLevels:
        """What is measured on a whole section, from the folder where a worker has left it."""
        if self._levels is None or self._levels[0] != page:
            self._levels = None
            kept = self.folder / f"{page:06d}.zarr"
            if not kept.exists():
                nanometres = float(np.sqrt(np.prod(pixel_size)))
                section = self.sections[page]
                heeded = self.method == "tissue" and section.valid is not None
                valid = read_mask(section.valid, section.page) if heeded else None
                _keep(SectionLevels.measure(read_section(section), self.method, self.clip, nanometres, valid), kept)
            self._levels = page, _kept(kept)
        return self._levels[1]


def _reader(section: Section) -> Read:
    """Give what reads parts of a section of a volume."""
    volume = OMEZarrReader(section.path)

    def read(window: Window) -> NDArray:
        return transposed(volume.read_window(section.page, window[1], window[0], section.channel))

    return read


def _keep(levels: SectionLevels, path: Path) -> None:
    """Write what was measured, all of it or nothing; where another worker was faster, its own stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        transfer = levels.transfer
        group = zarr.create_group(made, attributes={"shape": levels.shape, "limits": transfer and transfer.limits})
        arrays = {"table": transfer and transfer.table, "tissue": levels.tissue, "nearest": levels.nearest}
        for name, array in arrays.items():
            if array is not None:
                group.create_array(name, data=array, chunks=tuple(min(CHUNK, side) for side in array.shape))
        try:
            os.replace(made, path)
        except OSError:
            if not path.exists():
                raise


def _kept(path: Path) -> SectionLevels:
    """Read what `_keep` wrote; the tissue stays on disk."""
    group = zarr.open_group(path, mode="r")
    about = dict(group.attrs)
    table, nearest = (group[name][:] if name in group else None for name in ("table", "nearest"))
    limits = None if about["limits"] is None else tuple(about["limits"])
    transfer = None if limits is None and table is None else TransferFunction(limits, table)
    return SectionLevels(tuple(about["shape"]), transfer, group.get("tissue"), nearest)
