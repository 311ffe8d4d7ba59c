"""Affine models on which many matches agree: one for a section, several where a fold splits it.

Fischler, Bolles 1981, "Random sample consensus", Communications of the ACM 24(6); when agreement is more than chance:
Moisan, Stival 2004, "A probabilistic criterion to detect rigid point matches between two images and estimate the
fundamental matrix", International Journal of Computer Vision 57(3).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

__all__ = ["sequential_ransac"]

FloatArray = NDArray[np.float64]

FALSE_ALARMS = 1e-3
"""Models that chance may find, on average, in the matches of one pair of sections."""
MOST_STRETCH = 1.25
"""Sections of a stack are imaged at one magnification."""
MOST_TRIALS = 20_000


def sequential_ransac(
    points: FloatArray, targets: FloatArray, residual_threshold: float, area: float, max_models: int = 6
) -> tuple[list[FloatArray], NDArray[np.intp]]:
    """Find one affine model after the other, until the matches left agree no better than by chance.

    The samples of RANSAC are pairs of matches, which give a similarity: with one right match in twenty, samples of
    three would need twenty times the trials. An affine model is then fitted to those that agree, and what agrees with
    it counts.

    Args:
        points: (n, 2), positions (x, y) in one section.
        targets: (n, 2), positions in the other.
        residual_threshold: pixels within which a match agrees with a model.
        area: of the other section in square pixels, over which wrong matches scatter.
        max_models: models that are looked for.

    Returns:
        The models (2, 3), those with most matches first, and for each match the index of its model, -1 without one.
    """
    models: list[FloatArray] = []
    member = np.full(len(points), -1)
    for _ in range(max_models):
        free = np.flatnonzero(member < 0)
        found = _best_model(points[free], targets[free], residual_threshold, area)
        if found is None:
            break
        model, agrees = found
        member[free[agrees]] = len(models)
        models.append(model)
    return models, member


def _best_model(
    points: FloatArray, targets: FloatArray, residual_threshold: float, area: float
) -> tuple[FloatArray, NDArray[np.bool_]] | None:
    if len(points) < 4:
        return None
    cv2.setRNGSeed(0)  # the same sections give the same result
    model, _ = cv2.estimateAffinePartial2D(
        points,
        targets,
        method=cv2.RANSAC,
        ransacReprojThreshold=residual_threshold,
        maxIters=MOST_TRIALS,
        confidence=0.9999,
    )
    if model is None:
        return None
    for _ in range(5):
        agrees = np.linalg.norm(points @ model[:, :2].T + model[:, 2] - targets, axis=1) < residual_threshold
        if agrees.sum() < 4 or not _beyond_chance(len(points), int(agrees.sum()), np.pi * residual_threshold**2 / area):
            return None
        model = _least_squares(points[agrees], targets[agrees])
    stretches = np.linalg.svd(model[:, :2], compute_uv=False)
    if not 1 / MOST_STRETCH < stretches.min() <= stretches.max() < MOST_STRETCH or np.linalg.det(model[:, :2]) < 0:
        return None
    return model, agrees


def _least_squares(points: FloatArray, targets: FloatArray) -> FloatArray:
    """The affine map of few or many matches, held near a similarity where they lie on a line."""
    middle, target = points.mean(axis=0), targets.mean(axis=0)
    p, q = points - middle, targets - target
    spread = (p**2).sum()
    cosine = (p * q).sum() / spread
    sine = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / spread
    similar = np.array([[cosine, -sine], [sine, cosine]])
    ridge = 0.02 * spread * np.eye(2)
    linear = (q.T @ p + similar @ ridge) @ np.linalg.inv(p.T @ p + ridge)
    return np.column_stack([linear, target - linear @ middle])


def _beyond_chance(matches: int, agreeing: int, probability: float) -> bool:
    """Whether so many of the matches agree with the best of all models through two of them only once in many cases."""
    pairs = np.log(matches) + np.log(matches - 1) - np.log(2)
    # any number of agreeing matches would have been accepted: that many tests more
    tests = pairs + np.log(matches)
    return bool(tests + binom.logsf(agreeing - 3, matches - 2, min(probability, 1.0)) < np.log(FALSE_ALARMS))
