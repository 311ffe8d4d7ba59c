"""The layout of results for programs that write them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

__all__ = ["FileLayoutd"]


class FileLayoutd(MapTransform):
    """Give results the axes that the file of their section has, for programs that write results themselves.

    A picture becomes (width, height), the section of a volume (width, height, 1), since writers such as MONAI Label's
    give pixel size and orientation to volumes only, and make a channel axis a third dimension of a picture.

    Args:
        keys: masks (1, width, height); each becomes a uint8 tensor.
        image_key: the section itself; its meta data say what its file is.
        allow_missing_keys: whether a key may be missing.
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Lay out the results of one section."""
        d = dict(data)
        axes = len(d[self.image_key].meta["spatial_shape"])
        for key in self.key_iterator(d):
            pixels = torch.as_tensor(d[key])[0].to(torch.uint8)
            d[key] = pixels[..., None] if axes == 3 else pixels
        return d
