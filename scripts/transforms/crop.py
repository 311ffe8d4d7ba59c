"""Cropping by region and by a regular grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, SpatialCrop
from monai.utils import ensure_tuple_rep

from scripts.grid import grid_corners

__all__ = ["CropRegiond", "RandGridCropd"]


class CropRegiond(MapTransform):
    """Keep the region of a section that its list names, or all of it where none is named.

    With a margin, the surroundings stay as context for the network, and the item's region then says where it lies in
    what was kept: a second ``CropRegiond``, after the network, cuts it out. Without its surroundings the border of a
    narrow region would be judged by what it was padded with.

    Args:
        keys: items (channel, width, height).
        margin: pixels to keep around the region, as far as the section reaches.
        region_key: item [left, top, right, bottom] in pixels, the last two exclusive.
        allow_missing_keys: whether a key may be missing.
    """

    def __init__(
        self, keys: KeysCollection, margin: int = 0, region_key: str = "region", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.margin = margin
        self.region_key = region_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Crop the items of one section."""
        d = dict(data)
        region = d.pop(self.region_key, None)
        if region is None:
            return d
        # a region comes as a list of numbers, or as the tensor that a data loader made of it
        start, end = torch.as_tensor(region).reshape(2, 2).cpu()
        size = torch.tensor(d[self.first_key(d)].shape[1:])
        kept = (start - self.margin).clamp(min=0), (end + self.margin).minimum(size)
        crop = SpatialCrop(roi_start=kept[0], roi_end=kept[1])
        for key in self.key_iterator(d):
            d[key] = crop(d[key])
        if self.margin:
            d[self.region_key] = torch.cat([start, end]) - kept[0].repeat(2)
        return d


class RandGridCropd(Randomizable, MapTransform):
    """Draw patches from the regular grid that covers a section, as the paper cuts its sections.

    The grid has as few patches as cover the section; they are spread evenly, so that its last row and column end at
    the border instead of running over it. Within a call no patch is drawn twice, unless the grid has too few.

    Args:
        keys: items (channel, width, height), all of one size and no smaller than a patch.
        spatial_size: size of a patch in pixels, one number or (width, height).
        num_samples: patches drawn from a section in each call, at least 1.
        allow_missing_keys: whether a key may be missing.

    Raises:
        ValueError: a section is smaller than a patch, or `num_samples` is below 1.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spatial_size: int | Sequence[int],
        num_samples: int = 1,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if num_samples < 1:
            raise ValueError(f"num_samples has to be at least 1, got {num_samples}")
        self.spatial_size = ensure_tuple_rep(spatial_size, 2)
        self.num_samples = num_samples

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """Draw the patches of one section."""
        d = dict(data)
        starts = self._grid(d[self.first_key(d)].shape[1:])
        drawn = self.R.choice(len(starts), self.num_samples, replace=len(starts) < self.num_samples)
        patches = [dict(d) for _ in drawn]
        for patch, index in zip(patches, drawn, strict=True):
            left, top = starts[index]
            crop = SpatialCrop((left + self.spatial_size[0] // 2, top + self.spatial_size[1] // 2), self.spatial_size)
            for key in self.key_iterator(d):
                patch[key] = crop(d[key])
        return patches

    def _grid(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        """Give the lower corners of all patches of a section."""
        for size, patch in zip(shape, self.spatial_size, strict=True):
            if size < patch:
                raise ValueError(f"a section of {tuple(shape)} pixels is smaller than the patch {self.spatial_size}")
        return grid_corners(shape, self.spatial_size)
