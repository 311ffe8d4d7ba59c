from __future__ import annotations

import numpy as np
import pytest
from known_objects import epfl_instances, follow, needs_epfl, phantom_instances, score

from scripts.instances import Linker, join, overlaps


def boxes(*columns: tuple[int, int], size: tuple[int, int] = (20, 60)) -> np.ndarray:
    mask = np.zeros(size, bool)
    for left, right in columns:
        mask[5:15, left:right] = True
    return mask


def objects(*sections: np.ndarray, positions: list[int] | None = None, **settings: float) -> list[list[int]]:
    """Numbers of the objects of each section, from left to right."""
    linker, links, counts = Linker(**settings), [], []
    for index, mask in enumerate(sections):
        columns = mask[10].astype(int)
        labels = np.cumsum(np.diff(columns, prepend=0) == 1) * mask  # numbered from left to right
        before = linker.count
        links.append(linker.add(labels, None if positions is None else positions[index])[1])
        counts.append((before, linker.count))
    table = join(linker.count, np.concatenate(links))
    return [table[first + 1 : last + 1].tolist() for first, last in counts]


def test_what_lies_over_each_other_is_one() -> None:
    assert objects(boxes((0, 10), (20, 30)), boxes((2, 12), (40, 50)), boxes((4, 14))) == [[1, 2], [1, 3], [1]]


def test_assignment_is_global() -> None:
    """The middle overlaps both; greedily by overlap it would take the right one, which has another continuation."""
    first, second = boxes((0, 10), (12, 24)), boxes((4, 16), (17, 27))
    assert objects(first, second, branch_share=2) == [[1, 2], [1, 2]]


def test_branches_join() -> None:
    assert objects(boxes((0, 30)), boxes((0, 12), (18, 30))) == [[1], [1, 1]]
    assert objects(boxes((0, 12), (18, 30)), boxes((0, 30))) == [[1, 1], [1]]
    assert objects(boxes((0, 30)), boxes((0, 12), (18, 30)), branch_share=2, min_share=0.3) == [[1], [1, 2]]


def test_a_damaged_section_does_not_cut() -> None:
    tube, nothing = boxes((0, 10)), boxes()
    assert objects(tube, nothing, tube) == [[1], [], [1]]
    assert objects(tube, nothing, tube, max_gap=0) == [[1], [], [2]]
    assert objects(tube, nothing, nothing, tube) == [[1], [], [], [2]]
    assert objects(tube, nothing, nothing, tube, max_gap=2) == [[1], [], [], [1]]


def test_what_goes_on_is_not_leapt_over() -> None:
    """An object that continues is no candidate for one that begins two sections later."""
    assert objects(boxes((0, 20)), boxes((0, 9)), boxes((0, 9), (11, 20))) == [[1], [1], [1, 2]]


def test_missing_sections() -> None:
    tube = boxes((0, 10))
    assert objects(tube, tube, positions=[0, 2]) == [[1], [1]]
    assert objects(tube, tube, positions=[0, 3]) == [[1], [2]]
    with pytest.raises(ValueError, match="position must be above 4"):
        objects(tube, tube, positions=[4, 4])


def test_one_section_and_none_with_objects() -> None:
    assert objects(boxes((0, 10), (20, 30))) == [[1, 2]]
    assert objects(boxes(), boxes()) == [[], []]


def test_sizes_have_to_agree() -> None:
    with pytest.raises(ValueError, match=r"\(20, 60\).*\(20, 50\)"):
        objects(boxes((0, 10)), boxes((0, 10), size=(20, 50)))


@pytest.mark.parametrize("name", ["min_iou", "min_share", "branch_share", "max_gap"])
def test_settings_out_of_range(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Linker(**{name: -1})


def test_more_objects_than_16_bit_hold() -> None:
    labels = np.zeros((600, 600), np.int32)
    labels[::2, ::2] = np.arange(1, 90001).reshape(300, 300)
    linker = Linker()
    links = [linker.add(labels)[1], linker.add(labels)[1]]
    table = join(linker.count, np.concatenate(links))
    np.testing.assert_array_equal(table[1:90001], np.arange(1, 90001))
    np.testing.assert_array_equal(table[1:90001], table[90001:])


@pytest.mark.slow
def test_phantom_with_touching_mitochondria() -> None:
    truth = phantom_instances(seed=1, size=512, sections=12, grown=3)
    found = score(truth, follow([section > 0 for section in truth]))
    assert found["f1@0.5"] >= 0.95
    touching = score(truth, follow([section > 0 for section in truth], neck=0))
    assert touching["merged"] > 1.5 * found["merged"]


@pytest.mark.slow
@needs_epfl
def test_true_masks_20_nm_apart() -> None:
    truth = epfl_instances(1)
    assert score(truth, follow([section > 0 for section in truth]))["f1@0.5"] >= 0.97


@needs_epfl
@pytest.mark.parametrize("start", [0, 1, 2])
def test_true_masks_55_nm_apart(start: int) -> None:
    truth = epfl_instances(3, start)
    assert score(truth, follow([section > 0 for section in truth]))["f1@0.5"] >= 0.93


def test_numbers_whose_product_does_not_fit() -> None:
    first, second = (np.array(numbers, np.uint64) for numbers in ([0, 1, 1, 2, 2, 2], [5, 5, 7, 7, 7, 0]))
    small = overlaps(first, second)
    large = overlaps(first + np.uint64(2**62) * (first > 0), second + np.uint64(2**62) * (second > 0))
    assert (large.first - 2**62).tolist() == small.first.tolist() == [1, 1, 2]
    assert (large.second - 2**62).tolist() == small.second.tolist() == [5, 7, 7]
    assert large.pixels.tolist() == small.pixels.tolist() == [1, 1, 2]
