"""What a long chain of sections gathers in slow deformation, and how it is taken out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .transformation import Transformation

__all__ = ["remove_drift"]

FloatArray = NDArray[np.float64]

POWERS = [(i, j) for i in range(4) for j in range(4 - i)]
"""Exponents of x and y in the polynomials of third degree by which drift is described."""
LEAST_EXTENT = 0.7
"""Of the width and height of the frame, that the sections of a window cover if their drift is to be known."""


def remove_drift(transformations: Sequence[Transformation], window: int, reference: int) -> list[Transformation]:
    """Take out of a chain the deformation that its sections share over many sections.

    Each section is deformed in its own way, by chance; an error of the chain is handed on to all that follow, and grows
    with the length of the chain. Over a window of sections the former averages out and the latter does not. So the mean
    deformation of each window, beyond its turn and shift, is taken for drift; between the middles of the windows, and
    across windows whose sections cover too little of the frame, it is interpolated, so that neighbours stay aligned.
    Drift of the window with the reference is left, as that is where the stack takes its shape from; so stacks of a
    single window stay as they are.

    Args:
        transformations: of the sections in order.
        window: sections of a window; a shorter rest joins the window before it.
        reference: index of the section whose frame is that of the stack.

    Returns:
        The transformations without the drift.

    Raises:
        ValueError: the window has less than two sections.
    """
    if window < 2:
        raise ValueError(f"window must be at least 2 sections, but got {window!r}")
    count = len(transformations)
    edges = [*range(0, max(1, count - window + 1), window), count]
    if len(edges) < 3:
        return list(transformations)
    frame = np.array(transformations[reference].lattice.size)
    middle, scale = frame / 2, frame.max() / 2
    spans = [
        (a, b)
        for a, b in pairwise(edges)
        if a <= reference < b or (_extent(transformations[a:b]) >= LEAST_EXTENT * frame).all()
    ]
    means = np.stack([_shared(transformations[a:b], middle, scale) for a, b in spans])
    means -= means[next(i for i, (a, b) in enumerate(spans) if a <= reference < b)]
    centres = [(a + b - 1) / 2 for a, b in spans]
    flat = means.reshape(len(spans), -1)
    smooth = np.stack([np.interp(np.arange(count), centres, column) for column in flat.T], axis=1)
    return [
        transformation.compose(_without(coefficients.reshape(means.shape[1:]), middle, scale))
        for transformation, coefficients in zip(transformations, smooth, strict=True)
    ]


def _extent(transformations: Sequence[Transformation]) -> FloatArray:
    """Width and height of what sections cover together."""
    return np.ptp(np.concatenate([t.values.reshape(-1, 2) for t in transformations]), axis=0)


def _shared(transformations: Sequence[Transformation], middle: FloatArray, scale: float) -> FloatArray:
    """Coefficients (powers, 2) of the polynomial by which sections are moved on average, beyond their turn and shift.

    One fit of all, by area: that of a section much smaller than the frame would be without bounds beyond it.
    """
    monomials, moved = [], []
    for transformation in transformations:
        places, displacements = _deformation(transformation)
        monomials.append(transformation.lattice.spacing * _monomials((places - middle) / scale))
        moved.append(transformation.lattice.spacing * displacements)
    return np.linalg.lstsq(np.concatenate(monomials), np.concatenate(moved), rcond=None)[0]


def _deformation(transformation: Transformation) -> tuple[FloatArray, FloatArray]:
    """Where the nodes of a section lie, and by how much they are moved beyond its turn and shift, (n, 2) each."""
    points = transformation.lattice.nodes()
    places = transformation.values.reshape(-1, 2)
    p, q = points - points.mean(axis=0), places - places.mean(axis=0)
    u, _, vt = np.linalg.svd(p.T @ q)
    turn = u @ np.diag([1, np.linalg.det(u @ vt)]) @ vt
    return places, q - p @ turn


def _without(coefficients: FloatArray, middle: FloatArray, scale: float) -> Callable[[FloatArray], tuple]:
    def change(places: FloatArray) -> tuple[FloatArray, FloatArray]:
        # beyond the section the polynomial would grow without bounds
        at = np.clip((places - middle) / scale, -1.5, 1.5)
        derivative = np.stack([_monomials(at, axis) @ coefficients for axis in (0, 1)], axis=-1) / scale
        return places - _monomials(at) @ coefficients, np.eye(2) - derivative

    return change


def _monomials(points: FloatArray, axis: int | None = None) -> FloatArray:
    """All x^i y^j, or their derivatives along an axis, (n, powers)."""
    x, y = points.T
    columns = []
    for i, j in POWERS:
        if axis is None:
            columns.append(x**i * y**j)
        elif axis == 0:
            columns.append(i * x ** max(i - 1, 0) * y**j)
        else:
            columns.append(j * x**i * y ** max(j - 1, 0))
    return np.stack(columns, axis=1)
