"""SIFT features of a section, and which of them belong together in two sections.

Lowe 2004, "Distinctive image features from scale-invariant keypoints", International Journal of Computer Vision 60(2);
descriptors are compared by their square roots (Arandjelović, Zisserman 2012, "Three things everyone should know to
improve object retrieval", section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Features", "SIFTFeatures", "match_descriptors"]

FloatArray = NDArray[np.float64]

MOST_SCALE = 1.4
"""Sections of a stack are imaged at one magnification: features whose sizes differ by more do not belong together."""


@dataclass(frozen=True)
class Features:
    """SIFT features of one section.

    Attributes:
        points: float64 (n, 2), positions (x, y) in pixels.
        descriptors: float32 (n, 128), of length 1.
        sizes: float64 (n,), diameters in pixels.
    """

    points: FloatArray
    descriptors: NDArray[np.float32]
    sizes: FloatArray

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, which: NDArray) -> Features:
        return Features(self.points[which], self.descriptors[which], self.sizes[which])


class SIFTFeatures:
    """Finds SIFT features.

    Args:
        n_features: the strongest features that are kept.
        contrast_threshold: least contrast of a feature, OpenCV's `contrastThreshold`.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, n_features: int = 20000, contrast_threshold: float = 0.03) -> None:
        if type(n_features) is not int or n_features < 10:
            raise ValueError(f"n_features must be a whole number of at least 10, but got {n_features!r}")
        if not contrast_threshold >= 0:
            raise ValueError(f"contrast_threshold must be at least 0, but got {contrast_threshold!r}")
        self.n_features = n_features
        self.contrast_threshold = contrast_threshold
        self._detector = cv2.SIFT_create(nfeatures=n_features, contrastThreshold=contrast_threshold)

    def settings(self) -> dict[str, Any]:
        """What decides on the results, by the names of `configs/register.json`, whatever the attributes are called."""
        return {
            "n_features": self.n_features,
            "contrast_threshold": self.contrast_threshold,
        }

    def __call__(self, image: NDArray, excluded: NDArray[np.bool_] | None = None) -> Features:
        """Find the features of a section.

        Args:
            image: uint8 (width, height).
            excluded: bool, same shape, where no features are wanted: folds, missing tissue.

        Returns:
            The features, perhaps none.
        """
        # OpenCV takes the first axis for rows, and so sees both sections mirrored, which does not matter
        allowed = None if excluded is None else np.where(excluded, 0, 255).astype(np.uint8)
        keypoints, descriptors = self._detector.detectAndCompute(image, allowed)
        if not keypoints:
            return Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32), np.zeros(0))
        descriptors = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9))
        return Features(
            np.array([k.pt[::-1] for k in keypoints], np.float64),
            descriptors.astype(np.float32),
            np.array([k.size for k in keypoints], np.float64),
        )


def match_descriptors(moving: Features, fixed: Features, max_ratio: float, n_features: int = 5000) -> NDArray[np.intp]:
    """Pair features by their descriptors alone, those of the largest structures, which change least between sections.

    Args:
        moving: features of the section.
        fixed: features of its neighbour.
        max_ratio: a pair is taken if its distance is less than so much of that to the second best (Lowe, section 7.1).
        n_features: features of either section that are looked at.

    Returns:
        (n, 2), indices into `moving` and `fixed`; many of them wrong.
    """
    chosen = [np.argsort(-features.sizes, kind="stable")[:n_features] for features in (moving, fixed)]
    if min(map(len, chosen)) < 2:
        return np.zeros((0, 2), np.intp)
    descriptors = [f.descriptors[c] for f, c in zip((moving, fixed), chosen, strict=True)]
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(*descriptors, k=2)
    found = [(a.queryIdx, a.trainIdx) for a, b in pairs if a.distance < max_ratio * b.distance]
    i, j = np.array(found, np.intp).reshape(-1, 2).T
    i, j = chosen[0][i], chosen[1][j]
    alike = np.abs(np.log(moving.sizes[i] / fixed.sizes[j])) < np.log(MOST_SCALE)
    return np.stack([i, j], axis=1)[alike]
