"""Stacks of known objects: phantom tissue with its mitochondria one by one, and EPFL's slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import cKDTree
from skimage.segmentation import expand_labels

from scripts.instances import Linker, ObjectScores, join, separate
from scripts.phantom import PhantomTissue

EPFL = Path(__file__).parents[2] / ".." / "shared" / "data" / "epfl_hippocampus" / "instances"
needs_epfl = pytest.mark.skipif(not EPFL.is_dir(), reason="needs shared/data/epfl_hippocampus")


def phantom_instances(seed: int, size: int, sections: int, grown: int = 0) -> list[np.ndarray]:
    """Sections (height, width) with the numbers of the phantom's mitochondria, grown by pixels until they touch."""
    tissue = PhantomTissue(seed, (size, size), sections, fraction=0.3)
    points, radii, owner = [], [], []
    for number, body in enumerate(tissue.mitochondria, start=1):
        places = np.linspace(0, len(body.axis) - 1, 5 * len(body.axis))
        known = np.arange(len(body.axis))
        points.append(np.stack([np.interp(places, known, body.axis[:, axis]) for axis in range(3)], axis=1))
        radii.append(np.interp(places, known, body.radii))
        owner += [number] * len(places)
    tree, radius, owner = cKDTree(np.concatenate(points)), np.concatenate(radii), np.array(owner)
    stack = []
    for index, z in enumerate(tissue.z):
        truth = tissue.section(index)[1] > 0
        x, y = np.nonzero(truth)
        distance, nearest = tree.query(np.stack([tissue.x[x], tissue.y[y], np.full(len(x), z)], axis=1), 12)
        best = (distance - radius[nearest]).argmin(axis=1)
        labels = np.zeros(truth.shape, np.int32)
        labels[truth] = owner[nearest[np.arange(len(x)), best]]
        stack.append(expand_labels(labels.T, grown))
    return stack


def epfl_instances(step: int, start: int = 0) -> list[np.ndarray]:
    """Every slice (20 nm apart) or every third (55 nm)."""
    files = sorted(EPFL.iterdir())[start::step]
    return [np.array(Image.open(file)).astype(np.int32) for file in files]


def follow(masks: list[np.ndarray], neck: float = 0.8, min_area: int = 50, **settings: float) -> list[np.ndarray]:
    """Number the objects of a stack of masks."""
    linker, links, labels, offsets = Linker(**settings), [], [], []
    for mask in masks:
        labels.append(separate(mask, neck, min_area))
        offsets.append(linker.count)
        links.append(linker.add(labels[-1])[1])
    table = join(linker.count, np.concatenate(links))
    return [np.where(part > 0, table[part + offset], 0) for part, offset in zip(labels, offsets, strict=True)]


def score(truth: list[np.ndarray], found: list[np.ndarray]) -> dict[str, float]:
    scores = ObjectScores()
    for true, objects in zip(truth, found, strict=True):
        scores.add(true, objects)
    return scores.compute()
