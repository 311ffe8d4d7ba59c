"""What is known of a section without its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ROUNDING", "Header", "Section"]

Affine = tuple[tuple[float, ...], ...]

IN_PIXELS: Affine = ((-1.0, 0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
"""Where pictures lie: the axes of ITK point to the left and posterior, those of NIfTI to the right and anterior."""


ROUNDING = 1e-4
"""By which a pixel size in a file may differ from the one that it was written from, as a share."""


@dataclass(frozen=True)
class Header:
    """What the header of a file says.

    Attributes:
        path: of the file, as it was named.
        width: pixels along x.
        height: pixels along y.
        pages: number of sections in the file, 1 for a single picture.
        dtype: pixel type in the file, as NumPy names it.
        channels: of each section; 1 for grey pixels and for colours, which have to be grey.
        only_channel: the one of them that the file holds, where the others lie in other files.
        pixel_size_nm: nanometres (x, y), where the file states one that can be that of an electron microscope.
        doubt: what the file states as a pixel size and why that is not believed, as the end of a sentence.
        affine: 4 rows of 4 numbers, from voxel indices to the file's unit of length in right-anterior-superior axes, as
            NIfTI has it; for pictures as ITK, and so 3D Slicer, places them.
        form: what a result in the same format takes over, by names that this format knows.
        result: whether the file is a segmentation that this bundle wrote.
    """

    path: str
    width: int
    height: int
    pages: int = 1
    dtype: str = "uint8"
    channels: int = 1
    only_channel: int | None = None
    pixel_size_nm: tuple[float, float] | None = None
    doubt: str | None = None
    affine: Affine = IN_PIXELS
    form: Mapping[str, Any] = field(default_factory=dict)
    result: bool = False

    @property
    def size(self) -> tuple[int, int, int]:
        """Width, height and pages."""
        return self.width, self.height, self.pages

    def states(self, pixel_size_nm: Sequence[float] | None) -> bool:
        """Tell whether what the file says of its pixel size holds.

        Args:
            pixel_size_nm: that is used, nanometres (x, y); None where none is known.

        Returns:
            False where another one is used, because a person or a list states it.
        """
        if pixel_size_nm is None or self.pixel_size_nm is None:
            return pixel_size_nm is None
        pairs = zip(self.pixel_size_nm, pixel_size_nm, strict=True)
        return all(math.isclose(own, used, rel_tol=ROUNDING) for own, used in pairs)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} pixels with {self.pages} page(s)"


@dataclass(frozen=True, eq=False)
class Section(Mapping):
    """One section: its place in its file, the header of the file, and what a list says of it.

    It is made once, when sections are listed, and handed on to what checks, loads and writes them. For MONAI, whose
    transforms work on dictionaries, it is a mapping too: ``dict(section)`` is the item of a dataset, with those keys
    only that say something, and the other way round any item with an ``image`` can take its place.

    Attributes:
        header: of its file.
        page: number of the section in its file, from 0.
        channel: that is read, from 0; None where there is one only.
        pixel_size_nm: nanometres (x, y): what a list states, or else the file.
        pixel_size_stated: whether a list states it.
        label: path of its label.
        label_format: one of `LABEL_FORMATS`.
        region: left, top, right and bottom in pixels, the last two exclusive; None is all of it.
        ignore_value: of label pixels that are not known.
        known: path of a mask, 255 where the label is known; None is everywhere.
        valid: path of a mask, 255 where there is a section at all.
        weight: how often patches are drawn from it, in proportion to other sections.
    """

    header: Header
    page: int = 0
    channel: int | None = None
    pixel_size_nm: tuple[float, float] | None = None
    pixel_size_stated: bool = False
    label: str | None = None
    label_format: str | None = None
    ignore_value: int | None = None
    known: str | None = None
    region: tuple[int, int, int, int] | None = None
    valid: str | None = None
    weight: float | None = None

    @property
    def path(self) -> str:
        """Of its file."""
        return self.header.path

    @property
    def pages(self) -> int:
        """Number of sections in its file."""
        return self.header.pages

    @property
    def width(self) -> int:
        """Pixels along x."""
        return self.header.width

    @property
    def height(self) -> int:
        """Pixels along y."""
        return self.header.height

    @property
    def dtype(self) -> str:
        """Pixel type in the file."""
        return self.header.dtype

    @property
    def affine(self) -> Affine:
        """See `Header`."""
        return self.header.affine

    def item(self) -> dict[str, Any]:
        """Make the item of a dataset, plain values that fit into a batch and into JSON."""
        item = {"image": self.path, "page": self.page, "pages": self.pages}
        for key in ("channel", "label", "label_format", "ignore_value", "known", "valid", "weight"):
            if getattr(self, key) is not None:
                item[key] = getattr(self, key)
        for key in ("pixel_size_nm", "region"):
            if getattr(self, key) is not None:
                item[key] = list(getattr(self, key))
        return item

    def __getitem__(self, key: str) -> Any:
        return self.item()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.item())

    def __len__(self) -> int:
        return len(self.item())

    def __str__(self) -> str:
        return f"{self.path}, page {self.page}" if self.pages > 1 else self.path
