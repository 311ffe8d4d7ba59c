"""The real folded pair: what is left over on the two sides of its fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label
from skimage.transform import resize_local_mean

from scripts.figures import save_picture
from scripts.io import read_section
from scripts.registration import Neighbour, Transformation, background_mask, match_patches, warp

from .measures import affine_models, configured_registration, mask_jaccard, median

__all__ = ["BESIDE", "folded_pair_figures"]

BESIDE = 60
"""Pixels from the fold within which patches of 64 pixels are judged apart."""
GAP = 8
"""Pixels between the panels of the picture."""


def folded_pair_figures(folder: Path, picture: Path) -> dict[str, Any]:
    """Measure on the real pair.

    Args:
        folder: with ``reference.png``, ``damaged.png`` and ``damage_mask.png``.
        picture: file to write, before and after.

    Returns:
        ``rows``, one for each method and side of the fold, and ``fold_jaccard``, of the fold that was detected.
    """
    reference, damaged = (read_section(folder / f"{name}.png") for name in ("reference", "damaged"))
    given = read_section(folder / "damage_mask.png") > 127
    start = Transformation.affine(damaged.shape, np.eye(2, 3))
    neighbour = Neighbour(reference, background_mask(reference))
    rows: list[dict[str, Any]] = []

    def judge(method: str, transformation: Transformation, radius: int) -> None:
        rows.extend({"method": method, **row} for row in _left_over(damaged, neighbour, given, transformation, radius))

    models = affine_models(configured_registration(), damaged, reference, given)
    for number, model in enumerate(models[:2], start=1):
        judge(f"affine model {number} alone", Transformation.affine(damaged.shape, model), 220)
    plain, aware = (configured_registration(fold_aware=fold_aware) for fold_aware in (False, True))
    judge("plain moving least squares", plain(damaged, [neighbour], start, given).transformation, 40)
    result = aware(damaged, [neighbour], start, given).transformation
    judge("moving least squares around folds", result, 40)
    _save_comparison(picture, damaged, reference, result)
    detected = aware(damaged, [neighbour], start).transformation
    judge("the same, fold not given", detected, 40)
    found = np.zeros(given.shape, bool) if detected.fold is None else detected.fold
    return {"rows": rows, "fold_jaccard": mask_jaccard(found, given)}


def _left_over(
    damaged: NDArray[np.uint8],
    neighbour: Neighbour,
    fold: NDArray[np.bool_],
    transformation: Transformation,
    radius: int,
) -> list[dict[str, Any]]:
    """How far patches on each side of the fold have still to move."""
    parts, _ = label(~fold)
    largest = np.argsort(-np.bincount(parts.ravel())[1:])[:2] + 1
    from_fold = distance_transform_edt(~fold)
    rows = []
    for side, number in enumerate(largest, start=1):
        invalid = (parts != number) | background_mask(damaged)
        # patches of another size and at other places than those that are fitted
        fixed = neighbour.image, neighbour.invalid_mask
        found = match_patches(damaged, invalid, *fixed, transformation, 64, radius, 29.0)
        offset = np.linalg.norm(found.targets - found.expected, axis=1)
        near = from_fold[tuple(np.rint(found.points).astype(int).T)] < BESIDE
        rows.append(
            {
                "side": f"side {side}",
                "residual": median(offset),
                "residual_beside_fold": median(offset[near]),
                "correlation": median(found.initial_correlation),
                "patches": len(found),
            }
        )
    return rows


def _save_comparison(
    path: Path, damaged: NDArray[np.uint8], reference: NDArray[np.uint8], transformation: Transformation
) -> None:
    aligned, _ = warp(damaged, transformation, reference.shape)
    before, after = (np.stack([section, reference, reference], axis=-1) for section in (damaged, aligned))
    panel = np.concatenate([before, np.full((GAP, reference.shape[1], 3), 255, np.uint8), after])
    half = tuple(n // 2 for n in panel.shape[:2])
    smaller = resize_local_mean(panel, half, preserve_range=True, channel_axis=-1)
    save_picture(smaller.round().astype(np.uint8), path)
