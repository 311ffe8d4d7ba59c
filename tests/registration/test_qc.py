from __future__ import annotations

import numpy as np
import pytest
from textures import grey, shifted, texture

from scripts.registration import MovingLeastSquares, Transformation, qc_panel
from scripts.registration.qc import GAP

SIZE = (240, 180)
STILL = Transformation.affine(SIZE, np.eye(2, 3))


def pictures(seed: int, aligned: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A section as it was, and as it is aligned."""
    return grey(texture(seed, SIZE)), grey(texture(seed + 10, aligned))


def opened(gap: float) -> Transformation:
    fold = np.zeros(SIZE, bool)
    fold[117:123] = True
    points = np.random.default_rng(0).uniform((0, 0), np.array(SIZE) - 1, (600, 2))
    points = points[np.abs(points[:, 0] - 120) > 4]
    targets = points + np.where(points[:, :1] > 120, (gap, 0), (0, 0))
    return MovingLeastSquares(grid_nodes=40).prepare(SIZE, fold)(points, targets)


@pytest.mark.parametrize("aligned", [SIZE, (260, 200), (130, 100)])
def test_panel_has_four_parts(aligned: tuple[int, int]) -> None:
    panel = qc_panel(pictures(0, aligned), pictures(1, aligned), STILL, (260, 200))
    assert panel.shape == (2 * aligned[0] + GAP, 2 * aligned[1] + GAP, 3)
    assert panel.dtype == np.uint8
    assert (panel[aligned[0] : aligned[0] + GAP] == 255).all()
    assert (panel[:, aligned[1] : aligned[1] + GAP] == 255).all()


def test_first_section_has_the_grid_only() -> None:
    now = pictures(1)
    picture = qc_panel(None, now, STILL, SIZE)
    assert picture.shape == (*SIZE, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(qc_panel(pictures(0), now, STILL, SIZE)[SIZE[0] + GAP :, SIZE[1] + GAP :], picture)


def test_differences_are_red_and_cyan() -> None:
    before, now = pictures(0), pictures(1)
    panel = qc_panel(before, now, STILL, SIZE)
    raw, after = panel[: SIZE[0], : SIZE[1]], panel[SIZE[0] + GAP :, : SIZE[1]]
    for part, index in ((raw, 0), (after, 1)):
        np.testing.assert_array_equal(part[..., 0], now[index])
        np.testing.assert_array_equal(part[..., 1], before[index])
        np.testing.assert_array_equal(part[..., 2], before[index])


def test_checkerboard_takes_turns() -> None:
    dark, bright = np.full(SIZE, 40, np.uint8), np.full(SIZE, 220, np.uint8)
    panel = qc_panel((dark, dark), (bright, bright), STILL, SIZE)
    board = panel[: SIZE[0], SIZE[1] + GAP :]
    assert set(np.unique(board)) == {40, 220}
    assert 0.4 < (board == 40).mean() < 0.6
    field = 24  # a tenth of the longer side
    np.testing.assert_array_equal(board[field:], np.where(board[:-field] == 40, 220, 40))
    np.testing.assert_array_equal(board[:, field:], np.where(board[:, :-field] == 40, 220, 40))


def test_sections_of_other_sizes_are_cut() -> None:
    before = (grey(texture(0, (200, 250))), grey(texture(1, SIZE)))
    panel = qc_panel(before, pictures(1), STILL, SIZE)
    assert panel.shape == (2 * SIZE[0] + GAP, 2 * SIZE[1] + GAP, 3)
    np.testing.assert_array_equal(panel[:200, :180, 1], before[0][:, :180])
    assert not panel[200 : SIZE[0], :180].any()


def test_lines_lie_where_the_map_puts_them() -> None:
    blank = np.zeros(SIZE, np.uint8)
    picture = qc_panel(None, (blank, blank), Transformation.affine(SIZE, shifted(np.eye(2, 3), 4, 3)), SIZE)
    line = picture[..., 0] < 60  # the colour of the grid, in the middle of its lines
    columns, rows = np.flatnonzero(line[4:, 3:].all(axis=1)) + 4, np.flatnonzero(line[4:, 3:].all(axis=0)) + 3
    np.testing.assert_array_equal(columns, 4 + 10 * np.arange(24))
    np.testing.assert_array_equal(rows, 3 + 10 * np.arange(18))
    rest = np.ones(SIZE, bool)
    for near in (-1, 0, 1):
        rest[columns + near], rest[:, rows + near] = False, False
    assert (picture[rest] == 128).all()


def test_picture_may_be_smaller_than_the_stack() -> None:
    blank = np.zeros((120, 90), np.uint8)
    picture = qc_panel(None, (blank, blank), STILL, SIZE)
    line = (picture != 128).any(axis=-1)
    assert line[:, 87].any()
    assert line[117].any()  # over all of the section
    assert 0.2 < line.mean() < 0.95


@pytest.mark.parametrize("gap", [2.0, 40.0])
def test_lines_do_not_cross_an_opened_fold(gap: float) -> None:
    size = (300, 180)
    blank = np.zeros(size, np.uint8)
    picture = qc_panel(None, (blank, blank), opened(gap), size)
    plain = (picture == 128).all(axis=-1)
    right = 123 + int(gap)
    assert plain[119 : right - 2].all()
    for part in (plain[60:116], plain[right + 2 : right + 60]):
        assert 0.05 < (~part).mean() < 0.6
