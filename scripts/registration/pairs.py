"""Registration of one section with its aligned neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .consensus import find_models
from .features import SIFTFeatures, seed_matches
from .folds import FoldFinder
from .moving_least_squares import MovingLeastSquares, MovingLeastSquaresFit
from .patches import PatchMatches, match_patches
from .transformation import Transformation

__all__ = ["Neighbour", "PairRegistration", "Registration", "RegistrationError"]

FloatArray = NDArray[np.float64]

CAUTION = (6.0, 3.0, 1.5)
"""Residual, in medians of all residuals, at which a match counts a quarter (Geman, McClure 1987), in each round: a
strong bend must not be taken for wrong matches before it is fitted (Blake, Zisserman 1987)."""
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
        unknown: bool, same shape: where it shows nothing.
    """

    image: NDArray[np.uint8]
    unknown: NDArray[np.bool_]


@dataclass
class Registration:
    """What was found for a section.

    Attributes:
        transformation: into the frame of its neighbours, with the folds of the section.
        numbers: of the report, lengths in pixels.
    """

    transformation: Transformation
    numbers: dict[str, Any] = field(default_factory=dict)


class PairRegistration:
    """Registers a section with its neighbours: SIFT features, affine models, moving least squares.

    SIFT features give one affine model, or several where a fold splits the section, and moving least squares over the
    matches that agree with them a first deformation. Features repeat from section to section at a few places only; so
    patches, deformed as far as is known, are then looked for near where they are expected, by normalised
    cross-correlation, in circles that grow smaller, and moving least squares over these matches give the deformation.

    Args:
        features: finds the features.
        deformation: fits the matches.
        folds: finds folds; None takes a section for unfolded if no mask of its folds is given.
        ratio: of Lowe's test.
        threshold: distance within which a match agrees with an affine model, as a share of the section's longer side.
        patch_size: of the square patches, in pixels.
        patch_step: from patch to patch, in pixels.
        radii: how far patches are looked for, in pixels, in each round.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        features: SIFTFeatures,
        deformation: MovingLeastSquares,
        folds: FoldFinder | None = None,
        ratio: float = 0.92,
        threshold: float = 0.015,
        patch_size: int = 80,
        patch_step: int = 24,
        radii: Sequence[int] = (40, 20, 12),
    ) -> None:
        for name, value, low, high in (
            ("ratio", ratio, 0, 1),
            ("threshold", threshold, 0, 0.2),
            ("patch_size", patch_size, 8, 1024),
            ("patch_step", patch_step, 0, 1024),
        ):
            if not low < value < high:
                raise ValueError(f"{name} has to be between {low} and {high}, got {value!r}")
        if not radii or min(radii) < 2:
            raise ValueError(f"radii have to be one or more of at least 2 pixels, got {radii!r}")
        self.features = features
        self.deformation = deformation
        self.folds = folds
        self.ratio = ratio
        self.threshold = threshold
        self.patch_size = patch_size
        self.patch_step = patch_step
        self.radii = tuple(radii)

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
            RegistrationError: the section is blank, is folded over most of its area, or does not match.
        """
        candidates = np.zeros(image.shape, np.int32)
        if fold is not None:
            candidates[fold] = 1
        elif self.folds is not None:
            candidates = self.folds.candidates(image)
        hidden = (candidates > 0) | missing_tissue(image)
        self.require_tissue(image, candidates > 0)

        points, targets, numbers = self._seeds(image, hidden, neighbours[0])
        size = tuple(image.shape)
        fit = self.deformation.smoother(4).prepare(size, candidates > 0)
        transformation, _ = fit_robustly(fit, points, targets)
        fit = self.deformation.prepare(size, candidates > 0)
        matches = None
        for radius in self.radii:
            transformation, matches = self._round(fit, image, hidden, neighbours, transformation, radius)
        if fold is None and candidates.any():
            fold = self.folds.confirmed(candidates, transformation)
            if (fold != (candidates > 0)).any():
                hidden = fold | missing_tissue(image)
                fit = self.deformation.prepare(size, fold)
                transformation, matches = self._round(
                    fit, image, hidden, neighbours, transformation.with_fold(fold), self.radii[-1]
                )
        numbers |= {"patches": len(matches), "fold_share": 0.0 if fold is None else float(fold.mean())}
        numbers |= self._verified(image, hidden, neighbours[0], transformation, start)
        return Registration(transformation.with_fold(fold), numbers)

    def require_tissue(self, image: NDArray[np.uint8], fold: NDArray[np.bool_] | None) -> None:
        """Refuse a section that shows too little to be registered.

        Args:
            image: the section at working resolution, (width, height).
            fold: bool, same shape: its folds, if they are known.

        Raises:
            RegistrationError: it is blank, torn, or folded over most of its area.
        """
        folded = 0.0 if fold is None else fold.mean()
        if folded > MOST_FOLDED:
            raise RegistrationError(f"{folded:.0%} of the section is folded")
        missing = missing_tissue(image).mean()
        if missing > MOST_MISSING:
            raise RegistrationError(f"{missing:.0%} of the section shows no tissue; it is blank or torn")

    def _seeds(
        self, image: NDArray[np.uint8], hidden: NDArray[np.bool_], neighbour: Neighbour
    ) -> tuple[FloatArray, FloatArray, dict[str, float]]:
        moving = self.features(image, widened(hidden, 4))
        fixed = self.features(neighbour.image, widened(neighbour.unknown, 4))
        pairs = seed_matches(moving, fixed, self.ratio)
        points, targets = moving.points[pairs[:, 0]], fixed.points[pairs[:, 1]]
        area = float(np.count_nonzero(~neighbour.unknown))
        models, member = find_models(points, targets, self.threshold * max(image.shape), area)
        inliers = member >= 0
        if not models:
            raise RegistrationError(
                f"too few matches: the {len(pairs)} pairs among {len(moving)} and {len(fixed)} features agree on no "
                "affine model better than by chance"
            )
        numbers = {
            "features": len(moving),
            "matches": len(pairs),
            "inliers": int(inliers.sum()),
            "models": len(models),
        }
        return points[inliers], targets[inliers], numbers

    def _round(
        self,
        fit: MovingLeastSquaresFit,
        image: NDArray[np.uint8],
        hidden: NDArray[np.bool_],
        neighbours: Sequence[Neighbour],
        transformation: Transformation,
        radius: int,
    ) -> tuple[Transformation, PatchMatches]:
        found = [
            match_patches(image, hidden, n.image, n.unknown, transformation, self.patch_size, radius, self.patch_step)
            for n in neighbours
        ]
        # farther sections help where the nearest shows nothing, and hardly elsewhere
        weights = np.concatenate([m.weights / 4**distance for distance, m in enumerate(found)])
        points, targets = (np.concatenate([getattr(m, key) for m in found]) for key in ("points", "targets"))
        if len(points) < LEAST_PATCHES:
            raise RegistrationError(f"only {len(points)} patches of the section were found in its neighbour")
        transformation, _ = fit_robustly(fit, points, targets, weights)
        return transformation, found[0]

    def _verified(
        self,
        image: NDArray[np.uint8],
        hidden: NDArray[np.bool_],
        neighbour: Neighbour,
        transformation: Transformation,
        start: Transformation,
    ) -> dict[str, float]:
        """Residuals before and after; a deformation that makes them worse is refused."""
        after = self.residual(image, hidden, neighbour, transformation)
        before = self.residual(image, hidden, neighbour, start)
        jacobian = transformation.jacobian()
        numbers = {
            "residual_before": before["residual"],
            "residual_after": after["residual"],
            "correlation_before": before["correlation"],
            "correlation_after": after["correlation"],
            "jacobian_exceptions": int((jacobian <= 0).sum()),
        }
        if not after["correlation"] >= before["correlation"] - 0.02:
            raise RegistrationError(
                f"the deformation found fits worse than none: correlation {after['correlation']:.2f} instead of "
                f"{before['correlation']:.2f}"
            )
        if numbers["jacobian_exceptions"] > 0.01 * jacobian.size:
            raise RegistrationError(
                f"the deformation found folds the section over itself in {numbers['jacobian_exceptions']} of "
                f"{jacobian.size} cells"
            )
        return numbers

    def residual(
        self,
        image: NDArray[np.uint8],
        hidden: NDArray[np.bool_],
        neighbour: Neighbour,
        transformation: Transformation,
    ) -> dict[str, float]:
        """Measure what a transformation leaves over, by patches between those that are fitted.

        Args:
            image: the section, (width, height).
            hidden: bool, same shape: folds and missing tissue.
            neighbour: the section it is compared with.
            transformation: of the section.

        Returns:
            Median ``residual`` in pixels and ``correlation`` without any move; NaN without patches.
        """
        step = 2 * self.patch_step
        found = match_patches(
            image,
            hidden,
            neighbour.image,
            neighbour.unknown,
            transformation,
            self.patch_size,
            self.radii[0],
            step,
            0.25,
        )
        if not len(found):
            return {"residual": float("nan"), "correlation": float("nan")}
        offset = np.linalg.norm(found.targets - found.expected, axis=1)
        return {"residual": float(np.median(offset)), "correlation": float(np.median(found.unmoved))}


def fit_robustly(
    fit: MovingLeastSquaresFit,
    points: FloatArray,
    targets: FloatArray,
    weights: FloatArray | None = None,
) -> tuple[Transformation, FloatArray]:
    """Fit matches of which many are wrong: those that do not fit their surroundings come to count less and less.

    Args:
        fit: of the section.
        points: (n, 2), positions in the section.
        targets: (n, 2), where they belong.
        weights: (n,), confidence in each match.

    Returns:
        The transformation, and the weights (n,) in the end.
    """
    confidence = np.ones(len(points)) if weights is None else weights
    weights = confidence
    for tolerance in CAUTION:
        transformation = fit(points, targets, weights)
        residual = np.linalg.norm(transformation.forward(points) - targets, axis=1)
        residual = np.nan_to_num(residual, nan=np.inf)
        scale = tolerance * max(0.5, float(np.median(residual)))
        weights = confidence / (1 + (residual / scale) ** 2) ** 2
    return fit(points, targets, weights), weights


def missing_tissue(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a section shows no tissue: surroundings without any contrast.

    Args:
        image: (width, height).

    Returns:
        bool, same shape.
    """
    window = (15, 15)
    values = image.astype(np.float32)
    mean = cv2.blur(values, window)
    variance = cv2.blur(values**2, window) - mean**2
    return variance < 4.0


def widened(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """The mask and what lies within so many pixels of it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1,) * 2)
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)
