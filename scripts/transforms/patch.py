"""Random patches of sections."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_tensor
from torch.nn import functional as F

from scripts.io import IGNORE_INDEX
from scripts.resampling import resample
from scripts.tiles import tile_corners

__all__ = ["RandPatchd"]

SAMPLING = ("balanced", "uniform", "grid")


class RandPatchd(Randomizable, MapTransform):
    """Draw a patch at a random place, scale, angle and reflection, with elastic deformation, in one interpolation.

    MONAI has a transform for each of these (``RandCropByLabelClassesd``, ``RandZoomd``, ``RandFlipd``,
    ``Rand2DElasticd``); one after the other they cut a patch first and then fill the corners that they turn into it,
    and interpolate several times. Here the sampling positions of one patch are composed, and looked up in the section
    itself, which is mirrored only beyond its own border. Where a pixel of the patch is larger than one of the section,
    the section is averaged first, so that a fine section gives no more noise than a coarse one.

    Args:
        keys: section and label, in this order, each (1, width, height), with the section's ``pixel_size`` (x, y) in its
            meta data. The section is interpolated linearly, the label cut at one half.
        spatial_size: width and height of a patch in pixels.
        pixel_size: of a patch at scale 1, nanometres. None takes a section's pixels as they are, at scale 1.
        scale_range: lowest and highest factor by which structures are shown larger, drawn log-uniformly.
        aspect: standard deviation of the logarithm of the ratio of the two sides of a pixel.
        rotate: whether to turn and reflect.
        prob: probability of drawing scale, aspect, any angle and a deformation. Otherwise a patch is at scale 1, turned
            by a multiple of 90 degrees: where its pixels are those of the section, it is cut out as it is. All that is
            interpolated is a little smoother than the sections that a network will see.
        elastic_spacing: distance in pixels of the nodes of the deformation.
        elastic_magnitude_range: lowest and highest standard deviation of their displacements in pixels.
        sampling: where patches lie: "balanced" centres one half of them on mitochondria and one half on background,
            "uniform" anywhere, "grid" on the regular grid that covers the section (`scripts.tiles`), as the
            method's paper cuts its sections.
        indices_key: for "balanced": flat indices of background and of mitochondria, as ``ClassesToIndicesd`` gives
            them.
        allow_missing_keys: whether a key may be missing.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spatial_size: int,
        pixel_size: float | None = None,
        scale_range: Sequence[float] = (1.0, 1.0),
        aspect: float = 0.0,
        rotate: bool = True,
        prob: float = 1.0,
        elastic_spacing: int = 32,
        elastic_magnitude_range: Sequence[float] = (0.0, 0.0),
        sampling: str = "balanced",
        indices_key: str = "label_classes",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if sampling not in SAMPLING:
            raise ValueError(f"sampling must be one of {', '.join(SAMPLING)}, but got {sampling!r}")
        if len(scale_range) != 2 or not 0 < scale_range[0] <= scale_range[1]:
            raise ValueError(f"scale_range must be two factors above 0, the lower first, but got {scale_range}")
        if len(elastic_magnitude_range) != 2 or not 0 <= elastic_magnitude_range[0] <= elastic_magnitude_range[1]:
            raise ValueError(f"elastic_magnitude_range must be two numbers from 0, but got {elastic_magnitude_range}")
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must be from 0 to 1, but got {prob}")
        if spatial_size < 1 or elastic_spacing < 1 or aspect < 0:
            raise ValueError(
                "spatial_size and elastic_spacing must be at least 1 and aspect 0, but got "
                f"{spatial_size}, {elastic_spacing}, {aspect}"
            )
        self.spatial_size = spatial_size
        self.pixel_size = pixel_size
        self.scale_range = tuple(scale_range)
        self.aspect = aspect
        self.rotate = rotate
        self.prob = prob
        self.elastic_spacing = elastic_spacing
        self.elastic_magnitude_range = tuple(elastic_magnitude_range)
        self.sampling = sampling
        self.indices_key = indices_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw a patch of one section."""
        d = dict(data)
        section = d[self.first_key(d)]
        indices = d.pop(self.indices_key, None)
        free = self.R.random() < self.prob
        steps = self._steps(section, free)
        centre = self._centre(section.shape[1:], steps, indices)
        if not free and (steps == 1).all():  # onto pixels, not between them
            half = (self.spatial_size - 1) / 2
            centre = np.round(centre - half) + half
        positions = self._positions(steps, free) + torch.as_tensor(centre, dtype=torch.float32)
        for number, key in enumerate(self.key_iterator(d)):
            pixels = convert_to_tensor(d[key])
            if number == 0:
                d[key] = sample(pixels, positions, float(steps.min()))
                continue
            patch = (sample((pixels == 1).to(torch.uint8), positions, float(steps.min())) >= 0.5).to(torch.uint8)
            unknown = pixels == IGNORE_INDEX
            if unknown.any():
                patch[sample(unknown.to(torch.uint8), positions, float(steps.min())) >= 0.5] = IGNORE_INDEX
            d[key] = patch
        return d

    def _steps(self, section: torch.Tensor, free: bool) -> np.ndarray:
        """Draw how many pixels of the section (x, y) a pixel of the patch is apart from the next."""
        scale = math.exp(self.R.uniform(*np.log(self.scale_range))) if free else 1.0
        skew = math.exp(self.R.normal(0, 1) * self.aspect / 2) if free else 1.0
        if self.pixel_size is None:
            return np.array([skew, 1 / skew]) / scale
        own = np.asarray(section.meta["pixel_size"], dtype=float)
        return self.pixel_size / scale * np.array([skew, 1 / skew]) / own

    def _centre(self, shape: Sequence[int], steps: np.ndarray, indices: Sequence | None) -> np.ndarray:
        extent = np.minimum(self.spatial_size * steps, shape)
        if self.sampling == "grid":
            corners = tile_corners(shape, [max(1, int(side)) for side in extent])
            return np.array(corners[self.R.randint(len(corners))]) + (extent - 1) / 2
        place = [self.R.randint(length) for length in shape]
        if self.sampling == "balanced":
            of_class = np.asarray(indices[self.R.randint(len(indices))])
            if of_class.size:
                place = np.unravel_index(of_class[self.R.randint(of_class.size)], tuple(shape))
        # inside, as far as the section is large enough: what is mirrored teaches less
        half = (extent - 1) / 2
        return np.clip(place, half, np.array(shape) - 1 - half)

    def _positions(self, steps: np.ndarray, free: bool) -> torch.Tensor:
        """Offsets (size, size, 2) from the centre, in pixels of the section."""
        size = self.spatial_size
        axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        offsets = torch.stack(torch.meshgrid(axis, axis, indexing="ij"))
        magnitude = self.R.uniform(*self.elastic_magnitude_range) if free else 0.0
        if magnitude > 0:
            nodes = math.ceil(size / self.elastic_spacing) + 1
            moved = torch.from_numpy(self.R.normal(0, magnitude, (1, 2, nodes, nodes)).astype(np.float32))
            offsets = offsets + F.interpolate(moved, size=(size, size), mode="bicubic", align_corners=True)[0]
        matrix = np.eye(2)
        if self.rotate:
            angle = self.R.uniform(0, 2 * math.pi) if free else self.R.randint(4) * math.pi / 2
            cos, sin = math.cos(angle), math.sin(angle)
            if not free:
                cos, sin = round(cos), round(sin)
            matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([1, self.R.choice([-1, 1])])
        matrix = torch.from_numpy((steps[:, None] * matrix).astype(np.float32))
        return torch.einsum("ij,jxy->xyi", matrix, offsets)


def sample(image: torch.Tensor, positions: torch.Tensor, step: float) -> torch.Tensor:
    """Look up an image at positions, mirrored beyond its border.

    Args:
        image: (channels, width, height).
        positions: float32 (width, height, 2), x and y in pixels of the image.
        step: distance of neighbouring positions in pixels of the image; from 1 on it is averaged over so much first.

    Returns:
        float32 (channels, width, height) of `positions`.
    """
    shape = torch.tensor(image.shape[1:])
    # only the part that is looked at, and a little around it, is averaged
    margin = math.ceil(2 * max(1.0, step))
    least, most = positions.amin(dim=(0, 1)), positions.amax(dim=(0, 1))
    low = (least.floor().long() - margin).clamp(min=0).minimum(shape - 1)
    high = (most.ceil().long() + 1 + margin).minimum(shape).maximum(low + 1)
    if (least < 0).any() or (most > shape - 1).any():
        low, high = torch.zeros(2, dtype=torch.long), shape  # mirrored at the border of the whole, not of the part
    part = image[:, low[0] : high[0], low[1] : high[1]].float()[None]
    size = torch.tensor(part.shape[2:])
    if step > 1:
        part = resample(part, [max(1, round(int(length) / step)) for length in size])
    # -1 and 1 are the outer borders of the first and the last pixel
    normal = (positions - low + 0.5) / size * 2 - 1
    flipped = normal.flip(-1)[None]  # grid_sample counts the last axis first
    return F.grid_sample(part, flipped, mode="bilinear", padding_mode="reflection", align_corners=False)[0]
