"""Density without bias, in stacks of known density."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.instances import Frame, count_objects, count_profiles, ends

SIZE, SECTIONS, RADIUS = 100, 12, 9


def spheres(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Boxes, objects and sections of the profiles of randomly placed spheres; one per 20 x 20 x 20 voxels."""
    rng = np.random.default_rng(seed)
    low, high = np.array([-3, -20, -20]), np.array([SECTIONS + 3, SIZE + 20, SIZE + 20])
    # sections are 10 pixels thick
    density = 1 / (20 * 20 * 2)
    centres = rng.uniform(low, high, (rng.poisson(density * np.prod(high - low)), 3))
    rows = []
    for number, (z, y, x) in enumerate(centres, start=1):
        for section in range(SECTIONS):
            inner = RADIUS**2 - (10 * (section - z)) ** 2
            if inner <= 0:
                continue
            r = np.sqrt(inner)
            top, left, bottom, right = np.ceil([y - r, x - r]).tolist() + np.floor([y + r, x + r]).tolist()
            if top < SIZE and left < SIZE and bottom >= 0 and right >= 0 and top <= bottom and left <= right:
                rows.append([*np.clip([top, left, bottom, right], 0, SIZE - 1), number, section])
    table = np.array(rows).astype(np.int64)
    return table[:, :4], table[:, 4], table[:, 5], density


def test_density_by_the_disector_is_unbiased() -> None:
    frame, ratios, naive = Frame.of(SIZE, SIZE), [], []
    for seed in range(30):
        boxes, objects, section, density = spheres(seed)
        count = count_objects(boxes, objects, section, frame)
        ratios.append(count / (frame.pixels * (SECTIONS - 1)) / density)
        naive.append(len(np.unique(objects)) / (SIZE * SIZE * SECTIONS) / density)
    error = np.std(ratios, ddof=1) / np.sqrt(len(ratios))
    # a sphere that is thinner than a section may be seen in none
    assert abs(np.mean(ratios) - 1) < 3 * error
    assert error < 0.03
    assert 1.4 < np.mean(naive) < 1.5


def test_each_profile_is_counted_in_exactly_one_of_the_frames_that_tile() -> None:
    boxes, _, section, _ = spheres(0)
    boxes = boxes[section == 5]
    inner = boxes[(boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2:] < SIZE - 1).all(axis=1)]
    counts = [count_profiles(inner, Frame(y, x, y + 25, x + 25)) for y in (0, 25, 50, 75) for x in (0, 25, 50, 75)]
    assert sum(counts) == len(inner) > 10


def test_what_touches_the_exclusion_edges_does_not_count() -> None:
    frame = Frame.of(20, 30)
    boxes = np.array([[0, 5, 3, 9], [5, 0, 9, 3], [15, 5, 19, 9], [5, 25, 9, 29], [5, 5, 9, 9]])
    assert count_profiles(boxes, frame) == 3
    one = np.arange(1, 6)
    assert count_objects(boxes, one, np.array([1, 1, 1, 1, 0]), frame) == 2
    assert count_objects(boxes[:0], one[:0], one[:0], frame) == 0
    assert frame.pixels == 19 * 29


def test_guard() -> None:
    assert Frame.of(20, 30, 4) == Frame(4, 4, 15, 25)
    with pytest.raises(ValueError, match="guard"):
        Frame.of(20, 30, 10)


def test_what_shows_beside_a_wide_gap_may_have_begun_in_it() -> None:
    first, last = ends(np.array([0, 1, 4, 5, 7]), max_gap=1)
    assert (first.tolist(), last.tolist()) == ([True, False, True, False, False], [False, True, False, False, True])
    assert ends(np.array([3]))[0].tolist() == ends(np.array([3]))[1].tolist() == [True]
    boxes, objects = np.full((4, 4), 5), np.arange(1, 5)
    assert count_objects(boxes, objects, np.array([0, 1, 2, 3]), Frame.of(20, 30), first) == 2
