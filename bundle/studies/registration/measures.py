"""What the parts of the study have in common: the registration as it is configured, and measures of its results."""

from __future__ import annotations

from typing import Any

import numpy as np
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from bundle.runs import ROOT
from scripts.metrics import jaccard
from scripts.phantom import Deformation
from scripts.registration import PairRegistration, match_descriptors, sequential_ransac

__all__ = ["affine_models", "configured_registration", "mask_jaccard", "median", "sampled"]

STEP = 4
"""Every how many pixels a recovered displacement is compared."""


def configured_registration(**overrides: Any) -> PairRegistration:
    """Make what registers a section as ``configs/register.json`` says.

    Args:
        **overrides: settings of that config, such as ``fold_aware=False``.

    Returns:
        The registration.
    """
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "register.json"))
    parser.update(overrides)
    return parser.get_parsed_content("pair")


def affine_models(
    registration: PairRegistration,
    image: NDArray[np.uint8],
    fixed: NDArray[np.uint8],
    fold: NDArray[np.bool_],
) -> list[NDArray[np.float64]]:
    """Fit affine models alone.

    Args:
        registration: whose features and limits are used.
        image: the section, (width, height).
        fixed: its neighbour, (width, height).
        fold: bool, shape of `image`, where nothing is matched.

    Returns:
        The models (2, 3), perhaps none.
    """
    moving, other = registration.features(image, fold), registration.features(fixed)
    pairs = match_descriptors(moving, other, registration.max_ratio)
    points, targets = moving.points[pairs[:, 0]], other.points[pairs[:, 1]]
    return sequential_ransac(points, targets, registration.residual_threshold * max(image.shape), fixed.size)[0]


def sampled(deformation: Deformation) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Every `STEP`-th pixel, (n, 2), and where it truly lies, (n, 2)."""
    axes = (np.arange(0, n, STEP) for n in deformation.fold.shape)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    return grid, grid + deformation.displacement[:, *grid.T].T


def median(values: NDArray[np.floating]) -> float | None:
    """Median of what is finite, None of nothing."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None


def mask_jaccard(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Jaccard index of two masks of one shape."""
    return jaccard(*(int(np.count_nonzero(kind)) for kind in (found & truth, truth & ~found, found & ~truth)))
