"""Registration of one section with its aligned neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .block_matching import PatchMatches, match_patches
from .features import SIFTFeatures, match_descriptors
from .folds import FoldDetector
from .masks import background_mask, widened
from .moving_least_squares import MovingLeastSquares, MovingLeastSquaresFit, fit_robustly
from .quality import Quality
from .ransac import sequential_ransac
from .transformation import Transformation

__all__ = ["Neighbour", "PairRegistration", "Registration", "RegistrationError"]

FloatArray = NDArray[np.float64]

MOST_FOLDED = 0.5
"""Share of a section that folds may hide."""
MOST_MISSING = 0.7
"""Share of a section that may show nothing."""
LEAST_PATCHES = 12


class RegistrationError(ValueError):
    """A section that cannot be registered, and why."""


@dataclass(frozen=True)
class Neighbour:
    """An aligned section with which others are registered.

    Attributes:
        image: uint8 (width, height) in the aligned stack.
        invalid_mask: bool, same shape: where it shows nothing.
    """

    image: NDArray[np.uint8]
    invalid_mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Registration:
    """What was found for a section.

    Attributes:
        transformation: into the frame of its neighbours, with the folds of the section.
        quality: for the report.
    """

    transformation: Transformation
    quality: Quality


class PairRegistration:
    """Registers a section with its neighbours: SIFT features, affine models, moving least squares.

    SIFT features give one affine model, or several where a fold splits the section, and moving least squares over the
    matches that agree with them a first deformation. Features repeat from section to section at a few places only; so
    patches, deformed as far as is known, are then looked for near where they are expected, by normalised
    cross-correlation, in circles that grow smaller, and moving least squares over these matches give the deformation.

    Args:
        features: finds the features.
        deformation: fits the matches.
        fold_detector: finds folds; None takes a section for unfolded if no mask of its folds is given.
        max_ratio: of Lowe's test.
        residual_threshold: distance within which a match agrees with an affine model, as a share of the section's
            longer side.
        patch_size: of the square patches, in pixels.
        patch_step: from patch to patch, in pixels.
        search_radii: how far patches are looked for, in pixels, in each round.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        features: SIFTFeatures,
        deformation: MovingLeastSquares,
        fold_detector: FoldDetector | None = None,
        max_ratio: float = 0.92,
        residual_threshold: float = 0.015,
        patch_size: int = 80,
        patch_step: int = 24,
        search_radii: Sequence[int] = (40, 20, 12),
    ) -> None:
        for name, value, low, high in (
            ("max_ratio", max_ratio, 0, 1),
            ("residual_threshold", residual_threshold, 0, 0.2),
            ("patch_size", patch_size, 8, 1024),
            ("patch_step", patch_step, 0, 1024),
        ):
            if not low < value < high:
                raise ValueError(f"{name} must be between {low} and {high}, but got {value!r}")
        if type(patch_size) is not int:
            raise ValueError(f"patch_size must be a whole number of pixels, but got {patch_size!r}")
        if not search_radii or not all(type(radius) is int and radius >= 2 for radius in search_radii):
            raise ValueError(
                f"search_radii must be one or more whole numbers of at least 2 pixels, but got {search_radii!r}"
            )
        self.features = features
        self.deformation = deformation
        self.fold_detector = fold_detector
        self.max_ratio = max_ratio
        self.residual_threshold = residual_threshold
        self.patch_size = patch_size
        self.patch_step = patch_step
        self.search_radii = tuple(search_radii)

    def settings(self) -> dict[str, Any]:
        """What decides on the results, by the names of `configs/register.json`, whatever the attributes are called."""
        return {
            "features": self.features.settings(),
            "deformation": self.deformation.settings(),
            "fold_detector": None if self.fold_detector is None else self.fold_detector.settings(),
            "max_ratio": self.max_ratio,
            "residual_threshold": self.residual_threshold,
            "patch_size": self.patch_size,
            "patch_step": self.patch_step,
            "search_radii": list(self.search_radii),
        }

    @property
    def min_size(self) -> int:
        """Pixels of the shorter side that a section must have: less holds no patch."""
        return self.patch_size // 2 + 1

    def __call__(
        self,
        image: NDArray[np.uint8],
        neighbours: Sequence[Neighbour],
        start: Transformation,
        fold: NDArray[np.bool_] | None = None,
    ) -> Registration:
        """Register a section.

        Args:
            image: the section at working resolution, (width, height).
            neighbours: the nearest first; at least one.
            start: what the section gets if nothing better is found, for comparison.
            fold: bool, same shape as `image`: its folds; None if they are to be found.

        Returns:
            The transformation, and what the report says of it.

        Raises:
            RegistrationError: the section is too small, blank, folded over most of its area, or does not match.
        """
        self._require_size(image)
        candidates = np.zeros(image.shape, np.int32)
        if fold is not None:
            candidates[fold] = 1
        elif self.fold_detector is not None:
            candidates = self.fold_detector.candidates(image)
        invalid = (candidates > 0) | background_mask(image)
        self.require_tissue(image, candidates > 0)

        points, targets, counts = self._feature_matches(image, invalid, neighbours[0])
        size = tuple(image.shape)
        fit = self.deformation.smoother(4).prepare(size, candidates > 0)
        transformation, _ = fit_robustly(fit, points, targets)
        fit = self.deformation.prepare(size, candidates > 0)
        matches = None
        for radius in self.search_radii:
            transformation, matches = self._round(fit, image, invalid, neighbours, transformation, radius)
        if fold is None and candidates.any():
            fold = self.fold_detector.confirmed(candidates, transformation)
            if (fold != (candidates > 0)).any():
                invalid = fold | background_mask(image)
                fit = self.deformation.prepare(size, fold)
                transformation, matches = self._round(
                    fit, image, invalid, neighbours, transformation.with_fold(fold), self.search_radii[-1]
                )
        quality = Quality(
            **counts,
            **self._verified(image, invalid, neighbours[0], transformation, start),
            patches=len(matches),
            fold_fraction=0.0 if fold is None else float(fold.mean()),
        )
        return Registration(transformation.with_fold(fold), quality)

    def require_tissue(self, image: NDArray[np.uint8], fold: NDArray[np.bool_] | None) -> None:
        """Refuse a section that shows too little to be registered.

        Args:
            image: the section at working resolution, (width, height).
            fold: bool, same shape: its folds, if they are known.

        Raises:
            RegistrationError: it is too small, blank, torn, or folded over most of its area.
        """
        self._require_size(image)
        folded = 0.0 if fold is None else fold.mean()
        if folded > MOST_FOLDED:
            raise RegistrationError(f"{folded:.0%} of the section is folded")
        missing = background_mask(image).mean()
        if missing > MOST_MISSING:
            raise RegistrationError(f"{missing:.0%} of the section shows no tissue; it is blank or torn")

    def _require_size(self, image: NDArray[np.uint8]) -> None:
        if min(image.shape) < self.min_size:
            width, height = image.shape
            raise RegistrationError(
                f"the section must have at least {self.min_size} pixels a side where it is registered, but got "
                f"{width}x{height}"
            )

    def _feature_matches(
        self, image: NDArray[np.uint8], invalid: NDArray[np.bool_], neighbour: Neighbour
    ) -> tuple[FloatArray, FloatArray, dict[str, int]]:
        moving = self.features(image, widened(invalid, 4))
        fixed = self.features(neighbour.image, widened(neighbour.invalid_mask, 4))
        pairs = match_descriptors(moving, fixed, self.max_ratio)
        points, targets = moving.points[pairs[:, 0]], fixed.points[pairs[:, 1]]
        area = float(np.count_nonzero(~neighbour.invalid_mask))
        models, member = sequential_ransac(points, targets, self.residual_threshold * max(image.shape), area)
        inliers = member >= 0
        if not models:
            raise RegistrationError(
                f"too few matches: the {len(pairs)} pairs among {len(moving)} and {len(fixed)} features agree on no "
                "affine model better than by chance"
            )
        counts = {
            "features": len(moving),
            "matches": len(pairs),
            "inliers": int(inliers.sum()),
            "models": len(models),
        }
        return points[inliers], targets[inliers], counts

    def _round(
        self,
        fit: MovingLeastSquaresFit,
        image: NDArray[np.uint8],
        invalid: NDArray[np.bool_],
        neighbours: Sequence[Neighbour],
        transformation: Transformation,
        radius: int,
    ) -> tuple[Transformation, PatchMatches]:
        found = [self._patches(image, invalid, n, transformation, radius) for n in neighbours]
        # farther sections help where the nearest shows nothing, and hardly elsewhere
        weights = np.concatenate([m.weights / 4**distance for distance, m in enumerate(found)])
        points, targets = (np.concatenate([getattr(m, key) for m in found]) for key in ("points", "targets"))
        if len(points) < LEAST_PATCHES:
            raise RegistrationError(f"only {len(points)} patches of the section were found in its neighbour")
        transformation, _ = fit_robustly(fit, points, targets, weights)
        return transformation, found[0]

    def _patches(
        self,
        image: NDArray[np.uint8],
        invalid: NDArray[np.bool_],
        neighbour: Neighbour,
        transformation: Transformation,
        radius: int,
        step: float | None = None,
        offset: float = 0.0,
    ) -> PatchMatches:
        step = self.patch_step if step is None else step
        fixed = neighbour.image, neighbour.invalid_mask
        return match_patches(image, invalid, *fixed, transformation, self.patch_size, radius, step, offset)

    def _verified(
        self,
        image: NDArray[np.uint8],
        invalid: NDArray[np.bool_],
        neighbour: Neighbour,
        transformation: Transformation,
        start: Transformation,
    ) -> dict[str, Any]:
        """Residuals before and after; a deformation that makes them worse is refused."""
        after = self.residual(image, invalid, neighbour, transformation)
        before = self.residual(image, invalid, neighbour, start)
        jacobian = transformation.jacobian()
        numbers = {
            "residual_before": before["residual"],
            "residual_after": after["residual"],
            "correlation_before": before["correlation"],
            "correlation_after": after["correlation"],
            "folded_cells": int((jacobian <= 0).sum()),
        }
        # without any patch before, all that was found is better
        least = np.nan_to_num(before["correlation"], nan=-1.0) - 0.02
        if not after["correlation"] >= least:
            raise RegistrationError(
                f"the deformation found fits worse than none: correlation {after['correlation']:.2f} instead of "
                f"{before['correlation']:.2f}"
            )
        if numbers["folded_cells"] > 0.01 * jacobian.size:
            raise RegistrationError(
                f"the deformation found folds the section over itself in {numbers['folded_cells']} of "
                f"{jacobian.size} cells"
            )
        return numbers

    def residual(
        self,
        image: NDArray[np.uint8],
        invalid: NDArray[np.bool_],
        neighbour: Neighbour,
        transformation: Transformation,
    ) -> dict[str, float]:
        """Measure what a transformation leaves over, by patches between those that are fitted.

        Args:
            image: the section, (width, height).
            invalid: bool, same shape: folds and missing tissue.
            neighbour: the section it is compared with.
            transformation: of the section.

        Returns:
            Median ``residual`` in pixels and ``correlation`` without any move; NaN without patches.
        """
        step = 2 * self.patch_step
        found = self._patches(image, invalid, neighbour, transformation, self.search_radii[0], step, 0.25)
        if not len(found):
            return {"residual": float("nan"), "correlation": float("nan")}
        offset = np.linalg.norm(found.targets - found.expected, axis=1)
        return {"residual": float(np.median(offset)), "correlation": float(np.median(found.initial_correlation))}
