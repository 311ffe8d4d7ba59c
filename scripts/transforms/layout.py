"""The layout of results for programs that write them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import ImageMetaKey

from scripts.io import IMAGE_2D_SUFFIXES, split_suffix

__all__ = ["FileLayoutd"]


class FileLayoutd(MapTransform):
    """Give results the axes of the file that they are written to, for programs that write results themselves.

    A picture becomes (width, height), a volume (width, height, 1), since writers such as MONAI Label's give pixel size
    and orientation to volumes only, and make a channel axis a third dimension of a picture. The result is a volume if
    the section comes from one, or if the item asks for one, as 3D Slicer does for pictures too.

    Args:
        keys: masks (1, width, height); each becomes a uint8 tensor.
        image_key: the section itself; its meta data say what its file is, and become those of a volume with the result.
        extension_key: item that holds the suffix of the file to write, if it is not that of the section.
        allow_missing_keys: whether a key may be missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        extension_key: str = "result_extension",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key
        self.extension_key = extension_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Lay out the results of one section."""
        d = dict(data)
        meta = d[self.image_key].meta
        suffix = d.get(self.extension_key) or split_suffix(meta[ImageMetaKey.FILENAME_OR_OBJ])[1]
        if suffix not in IMAGE_2D_SUFFIXES:
            meta[ImageMetaKey.SPATIAL_SHAPE] = np.append(meta[ImageMetaKey.SPATIAL_SHAPE][:2], 1)
        for key in self.key_iterator(d):
            pixels = torch.as_tensor(d[key])[0].to(torch.uint8)
            d[key] = pixels if suffix in IMAGE_2D_SUFFIXES else pixels[..., None]
        return d
