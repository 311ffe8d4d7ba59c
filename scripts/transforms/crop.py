"""Cropping by region."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, SpatialCrop

__all__ = ["CropRegiond"]


class CropRegiond(MapTransform):
    """Keep the region of a section that its list names, or all of it where none is named.

    With a margin, the surroundings stay as context for the network, and the item's region then says where it lies in
    what was kept: a second ``CropRegiond``, after the network, cuts it out. Without its surroundings the border of a
    narrow region would be judged by what it was padded with.

    Args:
        keys: items (channel, width, height).
        margin: pixels to keep around the region, as far as the section reaches.
        margin_pixel_size: nanometres of the pixels that `margin` counts, if they are not the section's own; those
            stand in its meta data.
        region_key: item [left, top, right, bottom] in pixels, the last two exclusive.
        allow_missing_keys: whether a key may be missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        margin: int = 0,
        margin_pixel_size: float | None = None,
        region_key: str = "region",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.margin = margin
        self.margin_pixel_size = margin_pixel_size
        self.region_key = region_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Crop the items of one section."""
        d = dict(data)
        region = d.pop(self.region_key, None)
        if region is None:
            return d
        # a region comes as a list of numbers, or as the tensor that a data loader made of it
        start, end = torch.as_tensor(region).reshape(2, 2).cpu()
        first = d[self.first_key(d)]
        size, margin = torch.tensor(first.shape[1:]), torch.tensor([self.margin, self.margin])
        if self.margin_pixel_size is not None and "pixel_size" in getattr(first, "meta", {}):
            margin = (margin * self.margin_pixel_size / torch.as_tensor(first.meta["pixel_size"])).ceil().long()
        kept = (start - margin).clamp(min=0), (end + margin).minimum(size)
        crop = SpatialCrop(roi_start=kept[0], roi_end=kept[1])
        for key in self.key_iterator(d):
            d[key] = crop(d[key])
        if self.margin:
            d[self.region_key] = torch.cat([start, end]) - kept[0].repeat(2)
        return d
