"""What is said of a registration."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Quality"]


@dataclass(frozen=True)
class Quality:
    """How well a section was registered with its neighbour; lengths in pixels of the image that was registered.

    Attributes:
        features: SIFT features of the section.
        matches: pairs of features of the section and of its neighbour.
        inliers: pairs that agree with one of the affine models.
        models: affine models.
        patches: patches found in the neighbour.
        residual_before: median distance of patches from their best place, before the registration.
        residual_after: the same, after it.
        correlation_before: median correlation of patches with what lies at their place, before the registration.
        correlation_after: the same, after it.
        fold_fraction: share of the section under folds.
        folded_cells: cells of the lattice where the deformation folds the section over itself.
    """

    features: int
    matches: int
    inliers: int
    models: int
    patches: int
    residual_before: float
    residual_after: float
    correlation_before: float
    correlation_after: float
    fold_fraction: float
    folded_cells: int
