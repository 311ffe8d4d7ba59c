from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from textures import mapped, pixels, shifted, turned

from scripts.registration import Transformation, remove_drift
from scripts.registration.lattice import Lattice

SIZE = (300, 240)
MIDDLE = np.array([150.0, 120.0])
POINTS = pixels(SIZE)[::15, ::15].reshape(-1, 2)


def sampled(function: Callable[[np.ndarray], np.ndarray], fold: np.ndarray | None = None) -> Transformation:
    """The transformation that follows a function, with its derivatives from differences."""
    grid = Lattice.over(SIZE, 24)
    nodes = grid.nodes()
    steps = [function(nodes + step) - function(nodes - step) for step in ((0.1, 0), (0, 0.1))]
    linear = np.stack(steps, axis=-1) / 0.2
    return Transformation(grid, function(nodes).reshape(*grid.shape, 2), linear.reshape(*grid.shape, 2, 2), fold)


def drifted(at: np.ndarray, amount: float) -> np.ndarray:
    """Grows larger and bends, by about a tenth per unit."""
    x, y = ((at - MIDDLE) / 150).T
    return at + amount * np.stack([15 * x + 8 * y**2, 12 * y - 7 * x * y], axis=1)


def chain(count: int, reference: int, drift: float) -> list[Transformation]:
    """Each section is bent by chance, and all share what grows with their distance from the reference."""
    rng = np.random.default_rng(0)
    sections = []
    for index in range(count):
        bends, phases = rng.normal(0, 1.5, (2, 2)), rng.uniform(0, 6, 2)

        def function(at: np.ndarray, index: int = index, bends: np.ndarray = bends, phases: np.ndarray = phases):
            own = at + np.sin(at / 80 + phases) @ bends
            return drifted(own, drift * (index - reference))

        sections.append(sampled(function))
    return sections


def deformation(transformation: Transformation) -> float:
    """Root mean square of what is left beside a turn and a shift."""
    places = transformation.forward(POINTS)
    p, q = POINTS - POINTS.mean(axis=0), places - places.mean(axis=0)
    u, _, vt = np.linalg.svd(p.T @ q)
    return float(np.sqrt(((q - p @ u @ vt) ** 2).sum(axis=1).mean()))


def between(first: Transformation, second: Transformation) -> np.ndarray:
    return second.forward(POINTS) - first.forward(POINTS)


@pytest.mark.parametrize("reference", [7, 37])
def test_drift_that_grows_is_bounded(reference: int) -> None:
    before = chain(75, reference, 0.03)
    after = remove_drift(before, 15, reference)
    ends = [index for index in (0, 74) if abs(index - reference) > 20]
    for end in ends:
        assert deformation(before[end]) > 10
        assert deformation(after[end]) < 0.35 * deformation(before[end])
    # it no longer grows with the length of the chain
    assert max(map(deformation, after)) < 7
    assert deformation(chain(75, reference, 0.0)[74]) < 4


def test_neighbours_stay_aligned() -> None:
    before = chain(75, 37, 0.03)
    after = remove_drift(before, 15, 37)
    for index in range(74):
        change = between(*after[index : index + 2]) - between(*before[index : index + 2])
        assert np.linalg.norm(change, axis=1).max() < 1.8  # what one section drifts, and a little
        assert np.linalg.norm(change, axis=1).mean() < 1


def test_chunk_of_the_reference_is_left() -> None:
    before = chain(75, 37, 0.03)
    after = remove_drift(before, 15, 37)
    for one, other in zip(before, after, strict=True):
        assert one is not other
    np.testing.assert_allclose(after[37].forward(POINTS), before[37].forward(POINTS), atol=1e-9)
    moved = [
        np.linalg.norm(one.forward(POINTS) - other.forward(POINTS), axis=1).mean()
        for one, other in zip(before, after, strict=True)
    ]
    assert max(moved[30:45]) < 3.5
    assert min(moved[0], moved[-1]) > 5
    # on average over the window, nothing happened to it
    mean = np.mean(
        [b.forward(POINTS) - a.forward(POINTS) for a, b in zip(before[30:45], after[30:45], strict=True)], axis=0
    )
    assert np.abs(mean).max() < 1


def test_own_deformations_of_sections_are_left() -> None:
    before = chain(60, 0, 0.0)
    after = remove_drift(before, 20, 0)
    moved = [np.abs(a.forward(POINTS) - b.forward(POINTS)).mean() for a, b in zip(before, after, strict=True)]
    assert max(moved) < 1.5
    assert np.mean([deformation(t) for t in before]) > 1


def test_turns_and_shifts_are_no_drift() -> None:
    before = [
        sampled(lambda at, k=k: mapped(shifted(turned(1.5 * k, tuple(MIDDLE)), 3 * k, -2 * k), at)) for k in range(40)
    ]
    for one, other in zip(before, remove_drift(before, 10, 0), strict=True):
        np.testing.assert_allclose(other.forward(POINTS), one.forward(POINTS), atol=1e-6)


def test_linear_parts_follow() -> None:
    after = remove_drift(chain(45, 0, 0.03), 15, 0)[-1]
    steps = [after.forward(POINTS + step) - after.forward(POINTS - step) for step in ((3, 0), (0, 3))]
    inner = (np.abs(POINTS - MIDDLE) < MIDDLE - 15).all(axis=1)
    np.testing.assert_allclose(after.derivative(POINTS)[inner], np.stack(steps, axis=-1)[inner] / 6, atol=0.02)


@pytest.mark.parametrize(("count", "window"), [(1, 2), (9, 10), (10, 10), (19, 10), (3, 2)])
def test_stacks_of_one_chunk_are_left(count: int, window: int) -> None:
    before = chain(count, 0, 0.1)
    after = remove_drift(before, window, 0)
    assert len(after) == count
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_rest_of_a_chunk_counts() -> None:
    before = chain(29, 5, 0.05)  # chunks of 10 and of 19
    after = remove_drift(before, 10, 5)
    assert len(after) == 29
    assert deformation(after[-1]) < 0.7 * deformation(before[-1])


def test_folds_are_kept_and_no_section_is_changed() -> None:
    fold = np.zeros(SIZE, bool)
    fold[100:104] = True
    before = [sampled(lambda at, k=k: drifted(at, 0.05 * k), fold if k == 3 else None) for k in range(24)]
    values = [transformation.values.copy() for transformation in before]
    after = remove_drift(before, 8, 20)
    assert [t.fold is not None for t in after] == [k == 3 for k in range(24)]
    for transformation, value in zip(before, values, strict=True):
        np.testing.assert_array_equal(transformation.values, value)


def test_order_of_the_sections_is_kept() -> None:
    before = [sampled(lambda at, k=k: at + np.array([50 * k, 0])) for k in range(30)]
    places = [t.forward(MIDDLE[None])[0, 0] for t in remove_drift(before, 10, 4)]
    assert all(b - a == pytest.approx(50, abs=1e-6) for a, b in pairwise(places))


@pytest.mark.parametrize("window", [1, 0, -5])
def test_bad_window(window: int) -> None:
    with pytest.raises(ValueError, match=f"window .*got {window}$"):
        remove_drift(chain(3, 0, 0.0), window, 0)


@pytest.mark.parametrize("share", [0.5, 0.25, 0.1])
def test_a_small_section_moves_nothing_beyond_itself(share: float) -> None:
    """The polynomial of a bent part of the frame says nothing of the rest."""
    size = (300, 240)
    whole = [Transformation.affine(size, np.eye(2, 3), 24) for _ in range(40)]
    whole[30] = Transformation.affine((int(share * size[0]), int(share * size[1])), np.eye(2, 3), 24)
    whole[30].values[..., 0] += 2 * np.sin(whole[30].values[..., 1].copy() / (share * size[1]) * 2 * np.pi)
    for index, transformation in enumerate(remove_drift(whole, 10, 5)):
        if index != 30:
            assert np.abs(transformation.forward(POINTS) - POINTS).max() < 0.5, index


def test_windows_of_small_sections_follow_their_neighbours() -> None:
    sections = chain(80, 5, 0.02)
    for index in range(30, 40):
        small = Transformation.affine((60, 60), np.eye(2, 3), 8)
        sections[index] = small.translated(np.array([0, 0.1 * (index - 30)]))
    result = remove_drift(sections, 10, 5)
    assert max(deformation(result[i]) for i in range(10, 80) if not 30 <= i < 40) < 4
    for first, second in pairwise([i for i in range(80) if not 30 <= i < 40]):
        moved = between(sections[first], sections[second]) - between(result[first], result[second])
        assert np.abs(moved).max() < 1.5 * (second - first)
