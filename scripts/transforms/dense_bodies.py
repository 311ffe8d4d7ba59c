"""Electron-dense bodies, painted into patches."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_tensor
from scipy.ndimage import gaussian_filter

__all__ = ["RandDenseBodiesd"]

WAVES = 4
"""Of the outline."""
TRIALS = 5
"""Of places for a body."""


class RandDenseBodiesd(RandomizableTransform, MapTransform):
    """Paint black bodies where there are no mitochondria, so that a network learns that they are none.

    Lysosomes, lipofuscin and crushed myelin are as large and as round as mitochondria, and rare: few labelled sets show
    them, and a network that was trained without takes them for mitochondria. As in copy-paste augmentation (Ghiasi et
    al., "Simple copy-paste is a strong data augmentation method for instance segmentation", CVPR 2021), they are put
    into patches of real tissue, but drawn: evenly black, with the noise of the patch, and in some a few pale droplets.

    Args:
        keys: patch and label, in this order, each (1, width, height). Of the label, 0 is background; bodies are painted
            on it alone, and it stays as it is.
        pixel_size: of the patch, nanometres.
        prob: probability that a patch gets any.
        most: bodies in a patch that gets any.
        radius_range: smallest and largest radius in nanometres, drawn log-uniformly.
        level_range: grey level, as the share of the patch's pixels that are darker.
        allow_missing_keys: whether a key may be missing.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        pixel_size: float,
        prob: float = 0.1,
        most: int = 3,
        radius_range: Sequence[float] = (50.0, 700.0),
        level_range: Sequence[float] = (0.0, 0.05),
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must be from 0 to 1, but got {prob}")
        if not pixel_size > 0 or most < 1:
            raise ValueError(f"pixel_size must be above 0 and most at least 1, but got {pixel_size}, {most}")
        if len(radius_range) != 2 or not 0 < radius_range[0] <= radius_range[1]:
            raise ValueError(f"radius_range must be two lengths above 0, the lower first, but got {radius_range}")
        if len(level_range) != 2 or not 0 <= level_range[0] <= level_range[1] <= 1:
            raise ValueError(f"level_range must be two shares from 0 to 1, the lower first, but got {level_range}")
        self.pixel_size = pixel_size
        self.most = most
        self.radius_range = tuple(radius_range)
        self.level_range = tuple(level_range)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Paint bodies into one patch."""
        d = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return d
        image, label = (d[key] for key in self.key_iterator(d))
        pixels = convert_to_tensor(image).numpy()[0].astype(np.float32)
        background = convert_to_tensor(label).numpy()[0] == 0
        painted = pixels
        for _ in range(self.R.randint(1, self.most + 1)):
            painted = self._paint(painted, pixels, background)
        d[self.first_key(d)] = torch.from_numpy(painted[None])
        return d

    def _paint(self, painted: np.ndarray, pixels: np.ndarray, background: np.ndarray) -> np.ndarray:
        """Paint one body, if there is a place for it."""
        radius = np.exp(self.R.uniform(*np.log(self.radius_range))) / self.pixel_size
        for _ in range(TRIALS):
            depth = self._depth(pixels.shape, [self.R.uniform(0, length) for length in pixels.shape], radius)
            if background[depth > -1].all() and (depth > 0).any():
                break
        else:
            return painted
        content = self._content(pixels, depth, radius)
        cover = np.clip(depth / self.R.uniform(1, 2) + 0.5, 0, 1)  # a border as sharp as membranes are
        return (painted + cover * (content - painted)).astype(np.float32)

    def _depth(self, shape: Sequence[int], centre: Sequence[float], radius: float) -> np.ndarray:
        """How deep each pixel lies inside a body of this radius, negative outside."""
        x, y = np.meshgrid(
            *(np.arange(n, dtype=np.float32) - c for n, c in zip(shape, centre, strict=True)), indexing="ij"
        )
        stretch = np.exp(self.R.uniform(0, 0.5))
        turn = self.R.uniform(0, np.pi)
        along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        along, across = along / stretch, across * stretch
        angle = np.arctan2(across, along)
        waves = sum(
            self.R.normal(0, 0.12 / k) * np.cos(k * angle + self.R.uniform(0, 2 * np.pi)) for k in range(2, WAVES + 2)
        )
        return radius * np.exp(waves) - np.hypot(along, across)

    def _content(self, pixels: np.ndarray, depth: np.ndarray, radius: float) -> np.ndarray:
        """Grey levels of a body."""
        level = np.quantile(pixels, self.R.uniform(*self.level_range))
        contrast = np.quantile(pixels, 0.9) - level
        # as noisy as their surroundings, or they would be known by that
        texture = self.R.uniform(0, 0.4) * (pixels - gaussian_filter(pixels, 3))
        content = level + texture + contrast * self.R.uniform(0, 0.08) * self.R.normal(size=pixels.shape)
        if self.R.random() < 0.25:  # pale droplets
            inside = np.argwhere(depth > 0)
            for _ in range(self.R.randint(1, 4)):
                centre = inside[self.R.randint(len(inside))]
                droplet = self._depth(pixels.shape, centre, radius * self.R.uniform(0.1, 0.3))
                content += contrast * self.R.uniform(0.2, 0.7) * np.clip(droplet + 0.5, 0, 1)
        return content
