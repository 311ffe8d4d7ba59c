"""Measures of objects: volume and surface from the tables of profiles, length from a skeleton."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .linking import Overlaps

__all__ = ["complexity_index", "ends", "heights", "sphericity", "surfaces", "volumes"]


def ends(positions: NDArray[np.int64], max_gap: int | None = None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell the sections at which what is seen begins and ends: those of the stack, and those beside wide gaps.

    Args:
        positions: int64 (sections,), places in the complete stack, ascending.
        max_gap: missing sections in a row over which objects are followed; None is any number.

    Returns:
        bool (sections,): whether nothing is known of what comes before each section, and of what comes after it.
    """
    wide = np.diff(positions) - 1 > (np.inf if max_gap is None else max_gap)
    return np.concatenate([[True], wide]), np.concatenate([wide, [True]])


def heights(positions: NDArray[np.int64], thickness: float, max_gap: int | None = None) -> NDArray[np.float64]:
    """How much tissue each section stands for: half the way to each neighbour, a whole section at the ends.

    Args:
        positions: int64 (sections,), places in the complete stack, ascending.
        thickness: of a section.
        max_gap: see `ends`.

    Returns:
        float64 (sections,): `thickness`, and more beside missing sections, but for gaps that are ends.
    """
    steps = np.concatenate([[1], np.diff(positions), [1]]) * thickness
    first, last = ends(positions, max_gap)
    return (np.where(first, thickness, steps[:-1]) + np.where(last, thickness, steps[1:])) / 2


def volumes(objects: NDArray[np.int64], areas: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Volume by Cavalieri's principle: the sum of areas times heights, unbiased for any shape.

    Args:
        objects: int64 (profiles,), number of each profile's object, from 1.
        areas: float64 (profiles,).
        height: float64 (profiles,), that of its section.

    Returns:
        float64 (objects,), in the order of the numbers.
    """
    return np.bincount(objects, areas * height, minlength=1)[1:]


def surfaces(
    objects: NDArray[np.int64],
    section: NDArray[np.int64],
    positions: NDArray[np.int64],
    areas: NDArray[np.float64],
    perimeters: NDArray[np.float64],
    shared: Overlaps,
    pixel_area: float,
    thickness: float,
    max_gap: int | None = None,
) -> NDArray[np.float64]:
    """Surface from perimeters and from the steps between sections.

    Between two sections, what overlaps is one piece of wall: the mean of the perimeters times the distance is its
    height, the area that only one of the two sections shows is its step, and the wall is slanted: its area is the root
    of the sum of both squares (that of a cone's wall). A piece with nothing on the other side ends: a cap of its area
    and of a third of the squared thickness times pi, which is what a sphere's cap has on average; and half a
    thickness of wall less, since it ends there. Where the stack ends there is no cap.

    Args:
        objects: int64 (profiles,), number of the object, from 1.
        section: int64 (profiles,), index of the section, ascending.
        positions: int64 (sections,), places in the complete stack.
        areas: float64 (profiles,).
        perimeters: float64 (profiles,).
        shared: overlaps of neighbouring sections, by identity: row + 1.
        pixel_area: area of a pixel.
        thickness: of a section.
        max_gap: see `ends`.

    Returns:
        float64 (objects,), in the order of the numbers.
    """
    count = len(objects)
    first, second = shared.first - 1, shared.second - 1
    same = objects[first] == objects[second]
    first, second, pixels = first[same], second[same], shared.pixels[same]
    surface = np.zeros(int(objects.max(initial=0)) + 1)
    # a profile has an upper and a lower side; pieces join the upper sides of one section to the lower of the next
    graph = coo_array((np.ones(len(first), bool), (first, second + count)), shape=(2 * count, 2 * count))
    piece = connected_components(graph, directed=False)[1]
    pieces = int(piece.max(initial=-1)) + 1
    sides = np.concatenate([np.arange(count)] * 2)
    area = np.bincount(piece, areas[sides], pieces)
    step = np.abs(area - 2 * np.bincount(piece[first], pixels * pixel_area, pieces))
    perimeter = np.bincount(piece, perimeters[sides], pieces)
    owner = np.zeros(pieces, np.int64)
    owner[piece] = objects[sides]
    paired = np.zeros(pieces, bool)
    paired[piece[first]] = True
    gap = np.zeros(pieces)
    gap[piece[first]] = (positions[section[second]] - positions[section[first]]) * thickness
    surface += np.bincount(owner[paired], np.hypot(gap * perimeter / 2, step)[paired], len(surface))
    upper = np.arange(2 * count) < count
    first_of, last_of = ends(positions, max_gap)
    at_end = np.where(upper, last_of[section[sides]], first_of[section[sides]])
    end = np.where(at_end, perimeters[sides] * thickness / 2, areas[sides] + np.pi * thickness**2 / 3)
    alone = ~paired[piece]
    surface += np.bincount(objects[sides][alone], end[alone], len(surface))
    return surface[1:]


def sphericity(volume: NDArray[np.float64], surface: NDArray[np.float64]) -> NDArray[np.float64]:
    """Surface of the sphere of equal volume over the surface (Wadell 1935): 1 for a sphere.

    Args:
        volume: of the objects.
        surface: of the objects.

    Returns:
        From 0 to 1.
    """
    return np.minimum(1, np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface)


def complexity_index(volume: NDArray[np.float64], surface: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mitochondrial complexity index, surface³ / (16 pi² volume²) (Vincent et al. 2019).

    Args:
        volume: of the objects.
        surface: of the objects.

    Returns:
        36 pi / (16 pi²) = 0.716 for a sphere, more for tubes and branches.
    """
    return surface**3 / (16 * np.pi**2 * volume**2)
