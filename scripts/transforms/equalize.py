"""Grey levels of sections as a dictionary transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import HistogramNormalize, MapTransform
from monai.utils import ImageMetaKey, convert_data_type, ensure_tuple

from scripts.blank import blank_level
from scripts.grey_levels import CLIP, METHODS, SectionLevels, check_clip, fill_outside
from scripts.io import read_mask

__all__ = ["EqualizeSectiond"]


class EqualizeSectiond(MapTransform):
    """Bring the grey levels of a section to [0, 1], and say where it shows tissue.

    Args:
        keys: the section, one key: (1, width, height), integers or floating point of any range, as `LoadSectiond`
            gives it. It becomes float32.
        method: ``"tissue"`` equalises by the histogram of the tissue, and continues the tissue beyond its edge by its
            mirror image, see `scripts.grey_levels`. ``"section"`` equalises by all pixels between minimum and maximum,
            as the paper does, ``"none"`` stretches the range; for both all of the section counts as tissue.
        clip: quantiles that become 0 and 1, not for ``"section"``.
        tissue_key: where to write the tissue, uint8 (1, width, height): 1 in tissue, 0 in margins and empty resin,
            which hold no mitochondria whatever a network says, and throughout a blank section. None leaves it out.
        fill_keys: items (1, width, height) to continue likewise: labels that are trained on, since there are
            mitochondria in the mirror image.
        valid_key: item that holds the path of a mask, 255 where there is a section, if there is one. It is taken out,
            since some sections have such a mask and others do not.
        page_key: item that holds the number of the section in its stack, if there is one.
        allow_missing_keys: whether the key may be missing.

    Raises:
        ValueError: the method is unknown, `clip` out of range, or there are several keys; when called, if the mask is
            none, or the section cannot be equalised; the message names the file.
    """

    def __init__(
        self,
        keys: KeysCollection,
        method: str = "tissue",
        clip: tuple[float, float] = CLIP,
        tissue_key: Hashable | None = "tissue",
        fill_keys: KeysCollection = (),
        valid_key: Hashable = "valid",
        page_key: Hashable = "page",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must be one section, but got {self.keys}")
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, but got {method!r}")
        check_clip(clip)
        self.method = method
        self.clip = tuple(clip)
        self.tissue_key = tissue_key
        self.fill_keys = ensure_tuple(fill_keys)
        self.valid_key = valid_key
        self.page_key = page_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Equalise one section."""
        d = dict(data)
        valid = d.pop(self.valid_key, None)
        for key in self.key_iterator(d):
            image = d[key]
            name = image.meta.get(ImageMetaKey.FILENAME_OR_OBJ, key) if isinstance(image, MetaTensor) else key
            pixels = convert_data_type(image, np.ndarray)[0][0]
            try:
                levels, tissue = self._equalized(pixels, _pixel_size(image), d, valid)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            if not tissue.all():
                for other in self.fill_keys:
                    d[other] = _like(d[other], fill_outside(convert_data_type(d[other], np.ndarray)[0][0], tissue))
            d[key] = _like(image, levels)
            if self.tissue_key is not None:
                d[self.tissue_key] = _like(image, tissue.view(np.uint8))
        return d

    def _equalized(
        self, pixels: np.ndarray, pixel_size: float | None, data: Mapping[Hashable, Any], valid: str | None
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.method == "section" and blank_level(pixels) is None:
            normalize = HistogramNormalize(num_bins=4096, min=0, max=1)
            return convert_data_type(normalize(pixels.astype(np.float32)), np.ndarray)[0], np.ones(pixels.shape, bool)
        where = None
        if valid is not None and self.method == "tissue":
            where = read_mask(valid, data.get(self.page_key))
            if where.shape != pixels.shape:
                raise ValueError(
                    f"has {pixels.shape[0]}x{pixels.shape[1]} pixels, its valid mask {valid} "
                    f"{where.shape[0]}x{where.shape[1]}"
                )
        return SectionLevels.measure(pixels, self.method, self.clip, pixel_size, where).whole(pixels)


def _pixel_size(image: Any) -> float | None:
    """Nanometres of a pixel, the mean of its two sides, where `LoadSectiond` knew or assumed it."""
    size = image.meta.get("pixel_size") if isinstance(image, MetaTensor) else None
    return None if size is None else float(np.sqrt(np.prod(size)))


def _like(image: Any, pixels: np.ndarray) -> torch.Tensor:
    """The pixels with a channel, and the meta data of an image."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels[None]))
    return MetaTensor(tensor, meta=image.meta) if isinstance(image, MetaTensor) else tensor
