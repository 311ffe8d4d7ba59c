"""Loading of sections and of their labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ImageMetaKey

from scripts.io import (
    IGNORE_INDEX,
    LABEL_FORMATS,
    Section,
    binarize_label,
    keep_sockets_short,
    pixel_size_of,
    read_header,
    read_mask,
    read_section,
)

__all__ = ["BinarizeLabeld", "LeaveOutUnknownd", "LoadSectiond"]


class LoadSectiond(MapTransform):
    """Load sections of any supported format, grey and with the channel first.

    It takes the place of ``LoadImaged`` and ``EnsureChannelFirstd``, because no single reader of MONAI takes one page
    of a stack, notices a truncated NIfTI file, and turns away colours and NaN. An item is a `scripts.io.Section`, or
    any with a path under its keys; ``channel`` chooses one of several in the file of the first key. The meta data are
    those that MONAI's own transforms and writers use, and ``pixel_size``, float64 (x, y) in nanometres, where one is
    known or assumed, with ``pixel_size_known``, whether it is known.

    Args:
        keys: items that hold a path; each becomes a tensor (1, width, height) in the grey levels and the pixel type of
            the file, so that large offsets survive and integers stay small.
        page_key: item that holds the number of the section in its stack, if there is one.
        pixel_size: nanometres of a pixel, one number or [x, y]; None is what the item says under ``pixel_size_nm``, or
            else the file of the first key.
        default_pixel_size: what is assumed where neither says it.
        allow_missing_keys: whether a key may be missing.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `scripts.io.read_section`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        page_key: str = "page",
        pixel_size: float | Sequence[float] | None = None,
        default_pixel_size: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.page_key = page_key
        self.pixel_size = pixel_size
        self.default_pixel_size = default_pixel_size
        keep_sockets_short()  # before processes start that load by it

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load the items of one section."""
        d = dict(data)
        if d.get("pixel_size_nm") is None and not isinstance(data, Section):
            d["pixel_size_nm"] = self._pixel_size_in_file(d)
        size = pixel_size_of(d, self.pixel_size, self.default_pixel_size)
        known = self.pixel_size is not None or d.get("pixel_size_nm") is not None
        chosen = d.pop("channel", None)
        d.pop("pixel_size_nm", None)  # items that have it and items that do not would not fit into one batch
        first = next(self.key_iterator(d), None)
        for key in self.key_iterator(d):
            channel = chosen if key == first else None
            pixels = torch.from_numpy(_native(read_section(d[key], d.get(self.page_key), channel))[None])
            in_pixels = torch.eye(3, dtype=torch.float64)
            meta = {
                ImageMetaKey.FILENAME_OR_OBJ: str(d[key]),
                ImageMetaKey.SPATIAL_SHAPE: np.asarray(pixels.shape[1:]),
                "original_channel_dim": float("nan"),
                "original_affine": torch.tensor(read_header(d[key]).affine, dtype=torch.float64),
                "page": d.get(self.page_key) or 0,
            }
            if size is not None:
                meta |= {"pixel_size": np.array(size), "pixel_size_known": known}
            d[key] = MetaTensor(pixels, affine=in_pixels, meta=meta)
        return d

    def _pixel_size_in_file(self, data: Mapping[Hashable, Any]) -> tuple[float, float] | None:
        """What the file of the first key says, for items that were not made by `scripts.io`."""
        first = next(self.key_iterator(data), None)
        return None if first is None else read_header(data[first]).pixel_size_nm


class BinarizeLabeld(MapTransform):
    """Turn labels into 0 = background, 1 = mitochondrion, `scripts.io.IGNORE_INDEX` = not known.

    What is not known is told by the items ``ignore_value``, a value of the label, and ``known``, the path of a mask
    that is 255 where the label is known; both are taken out, since not every section has them.

    Args:
        keys: labels, tensors of any shape.
        label_format_key: item that says what the labels hold, one of `scripts.io.LABEL_FORMATS`; a mask where it is
            missing.
        instances_key: where to leave the numbers of labels that hold instances, 0 where they are not known; None drops
            them.
        allow_missing_keys: whether a key may be missing.

    Raises:
        ValueError: see `scripts.io.binarize_label`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_format_key: str = "label_format",
        instances_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_format_key = label_format_key
        self.instances_key = instances_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Binarise the labels of one section."""
        d = dict(data)
        label_format = d.get(self.label_format_key, LABEL_FORMATS[0])
        ignored, known = d.pop("ignore_value", None), d.pop("known", None)
        for key in self.key_iterator(d):
            name = d[key].meta.get(ImageMetaKey.FILENAME_OR_OBJ, key) if isinstance(d[key], MetaTensor) else key
            pixels = binarize_label(np.asarray(d[key]), name, label_format, ignored)
            if known is not None:
                pixels[..., ~read_mask(known, d.get("page"))] = IGNORE_INDEX
            binary = torch.from_numpy(pixels)
            if self.instances_key is not None and label_format == "instances":
                # numbers where nothing is known are no mitochondria, whether they say so or a mask does
                d[self.instances_key] = torch.where(binary == IGNORE_INDEX, torch.zeros_like(d[key]), d[key])
            d[key] = MetaTensor(binary, meta=d[key].meta) if isinstance(d[key], MetaTensor) else binary
        return d


class LeaveOutUnknownd(MapTransform):
    """Take what is not known out of the tissue, so that no score counts it.

    Args:
        keys: labels of `BinarizeLabeld`; not known becomes background.
        tissue_key: item where there may be mitochondria, 0 or 1; it becomes 0 where the label is not known.
        allow_missing_keys: whether a key may be missing.
    """

    def __init__(self, keys: KeysCollection, tissue_key: str = "tissue", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.tissue_key = tissue_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Look at the labels of one section."""
        d = dict(data)
        for key in self.key_iterator(d):
            unknown = d[key] == IGNORE_INDEX
            if unknown.any():
                d[key] = torch.where(unknown, torch.zeros_like(d[key]), d[key])
                d[self.tissue_key] = torch.where(unknown, torch.zeros_like(d[self.tissue_key]), d[self.tissue_key])
        return d


def _native(pixels: np.ndarray) -> np.ndarray:
    """The pixels in a type that PyTorch has: no other byte order than the machine's, nothing longer than a double."""
    dtype = np.dtype(np.float64) if pixels.dtype.itemsize > 8 else pixels.dtype.newbyteorder("=")
    return np.ascontiguousarray(pixels, np.uint8 if dtype.kind == "b" else dtype)
