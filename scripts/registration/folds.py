"""Detection of folds: dark, thin, long, and with tissue on both sides that has moved apart."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.measure import label, regionprops
from skimage.morphology import disk, opening, skeletonize

from .transformation import Transformation

__all__ = ["FoldDetector", "displacement_across"]

SEARCH_SIZE = 512
"""Pixels of the longer side at which folds are looked for: membranes are no longer seen there, folds are."""
BLUR = 2.0
"""Standard deviation in those pixels."""
EDGE = 1.5
"""Width in those pixels by which what is found is widened."""


class FoldDetector:
    """Detects dark, thin and long structures, which are folds if the tissue has moved on their two sides.

    Args:
        darkness: how far below the median of the section they lie, in robust standard deviations (of the blurred
            section).
        min_length: least length, as a share of the section's longer side.
        min_slenderness: least length, in mean widths.
        min_displacement: least displacement of the two sides against each other, as a share of the section's longer
            side; less is taken for a blood vessel or a myelin sheath, see `displacement_across`.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        darkness: float = 1.7,
        min_length: float = 0.2,
        min_slenderness: float = 12.0,
        min_displacement: float = 0.015,
    ) -> None:
        for name, value in (
            ("darkness", darkness),
            ("min_length", min_length),
            ("min_slenderness", min_slenderness),
            ("min_displacement", min_displacement),
        ):
            if not value > 0:
                raise ValueError(f"{name} must be greater than 0, but got {value!r}")
        self.darkness = darkness
        self.min_length = min_length
        self.min_slenderness = min_slenderness
        self.min_displacement = min_displacement

    def settings(self) -> dict[str, Any]:
        """What decides on the results, by the names of `configs/register.json`, whatever the attributes are called."""
        return {
            "darkness": self.darkness,
            "min_length": self.min_length,
            "min_slenderness": self.min_slenderness,
            "min_displacement": self.min_displacement,
        }

    def candidates(self, image: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Find what looks like a fold.

        Args:
            image: (width, height).

        Returns:
            int32, same shape: 0 in tissue, 1, 2, ... in each candidate.
        """
        factor = max(1, round(max(image.shape) / SEARCH_SIZE))
        small = cv2.resize(
            image, (image.shape[1] // factor, image.shape[0] // factor), interpolation=cv2.INTER_AREA
        ).astype(np.float32)
        blurred = gaussian_filter(small, BLUR)
        middle = np.median(blurred)
        spread = 1.4826 * np.median(np.abs(blurred - middle))
        # opening takes off the dark bodies that touch a fold
        dark = opening(blurred < middle - self.darkness * spread, disk(2))
        found = np.zeros(small.shape, np.int32)
        count = 0
        for region in regionprops(label(dark, connectivity=2)):
            length = skeletonize(region.image).sum()
            if length >= self.min_length * max(small.shape) and length**2 >= self.min_slenderness * region.area:
                count += 1
                found[tuple(region.coords.T)] = count
        whole = cv2.resize(found.astype(np.uint8), image.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        # blur and opening leave out the edges of a fold
        return cv2.dilate(whole, disk(round(EDGE * factor))).astype(np.int32)

    def confirmed(self, candidates: NDArray[np.int32], transformation: Transformation) -> NDArray[np.bool_]:
        """Keep the candidates whose sides have moved apart, or over each other.

        Args:
            candidates: what `candidates` found.
            transformation: of the section, fitted with all candidates as folds.

        Returns:
            bool, same shape: the folds.
        """
        least = self.min_displacement * max(candidates.shape)
        folds = np.zeros(candidates.shape, bool)
        for number in range(1, candidates.max(initial=0) + 1):
            one = candidates == number
            if displacement_across(one, transformation) >= least:
                folds |= one
        return folds


def displacement_across(fold: NDArray[np.bool_], transformation: Transformation) -> float:
    """Median displacement of the two sides of a fold against each other.

    Args:
        fold: bool (width, height), one fold.
        transformation: of the section, fitted with this as a fold.

    Returns:
        Pixels, 0 where the fold has no two sides, as a dark border of the section.
    """
    lattice = transformation.lattice
    nodes = lattice.nodes().reshape(*lattice.shape, 2)
    distance = cv2.distanceTransform((~fold).astype(np.uint8), cv2.DIST_L2, 5)
    inside = cv2.distanceTransform(np.pad(fold, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    ridge = inside[skeletonize(fold)]
    if not ridge.size:
        return 0.0
    reach = 2 * lattice.spacing
    most_steps = int(np.ceil(2 * ridge.max() / lattice.spacing)) + 2
    jumps = []
    for axis in (0, 1):
        # pairs of nodes with the fold between them, as far apart as it is wide
        for steps in range(1, min(most_steps, lattice.shape[axis] - 1) + 1):
            first = np.take(nodes, np.arange(lattice.shape[axis] - steps), axis).reshape(-1, 2)
            second = np.take(nodes, np.arange(steps, lattice.shape[axis]), axis).reshape(-1, 2)
            near = [_at(distance, points) for points in (first, second)]
            beside = (near[0] > 0) & (near[1] > 0) & (near[0] < reach) & (near[1] < reach)
            # not across a dark body that touches it
            beside &= _at(inside, (first + second) / 2) >= np.median(ridge) / 2
            moved = transformation.forward(second[beside]) - transformation.forward(first[beside])
            # what the smooth part of the deformation does over this way, from the derivatives on both sides
            slope = transformation.derivative(np.concatenate([first[beside], second[beside]]))
            slope = (slope[: beside.sum()] + slope[beside.sum() :]) / 2
            smooth = np.einsum("nij,nj->ni", slope, (second - first)[beside])
            jumps.append(np.linalg.norm(moved - smooth, axis=1))
    jumps = np.concatenate(jumps) if jumps else np.zeros(0)
    jumps = jumps[np.isfinite(jumps)]
    return float(np.median(jumps)) if len(jumps) else 0.0


def _at(image: NDArray, points: NDArray[np.float64]) -> NDArray:
    x, y = (np.clip(np.rint(points[:, axis]).astype(np.intp), 0, image.shape[axis] - 1) for axis in (0, 1))
    return image[x, y]
