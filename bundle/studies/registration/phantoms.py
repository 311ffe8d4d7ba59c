"""Known deformations of phantom tissue, recovered by several methods."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Callable
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from tqdm import tqdm

from bundle.data.phantom import PIXEL_SIZE, THICKNESS
from scripts.phantom import Deformation, PhantomTissue, acquire
from scripts.registration import Neighbour, RegistrationError, Transformation, background_mask

from .measures import affine_models, configured_registration, median, sampled

__all__ = ["phantom_rows"]

NEAR = 30
"""Pixels from a fold within which its effect is judged apart."""

Recovered = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From positions (n, 2) in the section to those recovered."""


def phantom_rows(count: int, size: int) -> list[dict[str, Any]]:
    """Measure on phantoms.

    Args:
        count: how many tissues.
        size: width and height of their sections in pixels.

    Returns:
        One row for each tissue, deformation, neighbour and method.
    """
    rows = []
    pad = size // 5
    inner = (slice(pad, pad + size),) * 2
    progress = tqdm(total=count * 4, desc="phantoms", unit="pair")
    for seed in range(count):
        tissue = PhantomTissue(np.random.SeedSequence(seed), (size + 2 * pad,) * 2, 2, PIXEL_SIZE, THICKNESS)
        sections = [tissue.section(index) for index in (0, 1)]
        views = [
            acquire(section[inner], np.random.default_rng([seed, 9, i])) for i, (section, _) in enumerate(sections)
        ]
        for fold in (False, True):
            deformation = Deformation.random((size, size), np.random.default_rng([seed, fold]), True, fold)
            image = acquire(deformation.apply(*sections[1])[0], np.random.default_rng([seed, 10]))
            for neighbour, fixed in (("the same section", views[1]), ("the section before", views[0])):
                for method, recovered in _methods(image, fixed, deformation.fold).items():
                    row = {"tissue": seed, "folded": fold, "neighbour": neighbour, "method": method}
                    rows.append({**row, **_errors(recovered, deformation)})
                progress.update()
    return rows


def _methods(image: NDArray[np.uint8], fixed: NDArray[np.uint8], fold: NDArray[np.bool_]) -> dict[str, Recovered]:
    """What each method recovers."""
    neighbour = Neighbour(fixed, background_mask(fixed))
    start = Transformation.affine(image.shape, np.eye(2, 3))
    models = affine_models(configured_registration(), image, fixed, fold)
    methods: dict[str, Recovered] = {}
    if models:
        methods["one affine model"] = lambda points: points @ models[0][:, :2].T + models[0][:, 2]
    displacement = _elastix(image, fixed, fold)
    if displacement is not None:
        methods["elastix, B-splines"] = lambda points: points + displacement[tuple(points.astype(int).T)]
    variants: dict[str, tuple[bool, NDArray | None]] = {"moving least squares around folds": (True, fold)}
    if fold.any():
        variants = {"plain moving least squares": (False, fold), **variants, "the same, fold not given": (True, None)}
    for name, (fold_aware, given) in variants.items():
        register = configured_registration(fold_aware=fold_aware)
        try:
            methods[name] = register(image, [neighbour], start, given).transformation.forward
        except RegistrationError:
            methods[name] = lambda points: np.full(points.shape, np.nan)
    return methods


def _elastix(image: NDArray[np.uint8], fixed: NDArray[np.uint8], fold: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Displacement (width, height, 2) by elastix' default parameters, which know the fold as a mask."""
    if importlib.util.find_spec("itk.itkElastixRegistrationMethodPython") is None:
        return None
    parameters = itk.ParameterObject.New()
    for kind in ("rigid", "affine", "bspline"):
        parameters.AddParameterMap(parameters.GetDefaultParameterMap(kind, 5))
    # the transformation leads from the first picture to the second; ITK counts x last in arrays
    first, second = (itk.image_from_array(np.ascontiguousarray(a.T).astype(np.float32)) for a in (image, fixed))
    masks = {}
    if fold.any():
        masks["fixed_mask"] = itk.image_from_array(np.ascontiguousarray(~fold.T).astype(np.uint8))
    # elastix leaves files where it runs
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        try:
            _, transform = itk.elastix_registration_method(
                first, second, parameter_object=parameters, log_to_console=False, **masks
            )
            field = itk.transformix_deformation_field(first, transform, log_to_console=False)
        except RuntimeError:
            return None
    return np.asarray(itk.array_from_image(field)).swapaxes(0, 1)


def _errors(recovered: Recovered, deformation: Deformation) -> dict[str, float | None]:
    """Medians of the distance between recovered and true positions."""
    grid, truth = sampled(deformation)
    at = tuple(grid.T)
    tissue = ~deformation.fold[at]
    error = np.linalg.norm(recovered(grid.astype(np.float64)) - truth, axis=1)
    near = distance_transform_edt(~deformation.fold)[at] < NEAR if deformation.fold.any() else np.zeros(len(grid), bool)
    result = {"far": median(error[tissue & ~near]), "near": median(error[tissue & near])}
    return {**result, "uncovered_fraction": float(np.isnan(error[tissue]).mean())}
