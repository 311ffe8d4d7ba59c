from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics.panoptic_quality import compute_panoptic_quality

from scripts.instances import ObjectScores


def random_objects(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A stack (3, 40, 60) of 24 true boxes, and a result whose boxes are shifted, lost or new."""
    rng = np.random.default_rng(seed)
    true, found = np.zeros((2, 3, 40, 60), np.int32)
    for number in range(24):
        y, x = 10 * (number // 6), 10 * (number % 6)
        true[:, y : y + 8, x : x + 8] = number + 1
        dy, dx = rng.integers(0, 4, 2)
        if rng.random() < 0.85:
            found[:, y + dy : y + 8, x + dx : x + 8] = 100 - number
    return true, found


@pytest.mark.parametrize("seed", range(3))
def test_panoptic_quality_is_monai_s(seed: int) -> None:
    true, found = random_objects(seed)
    scores = ObjectScores()
    for section in zip(true, found, strict=True):
        scores.add(*section)
    result = scores.compute([0.5, 0.75])
    tensors = [torch.from_numpy(np.moveaxis(array, 0, -1)) for array in (found, true)]
    tp, fp, fn, _ = compute_panoptic_quality(*tensors, output_confusion_matrix=True).tolist()
    assert 0 < tp < 24
    assert result["f1@0.5"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert result["precision@0.5"] == pytest.approx(tp / (tp + fp))
    assert result["recall@0.5"] == pytest.approx(tp / (tp + fn))
    assert result["panoptic_quality"] == pytest.approx(compute_panoptic_quality(*tensors).item(), abs=1e-5)
    tp, fp, fn, _ = compute_panoptic_quality(*tensors, match_iou_threshold=0.75, output_confusion_matrix=True).tolist()
    assert result["f1@0.75"] == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_perfect() -> None:
    true, _ = random_objects(0)
    scores = ObjectScores()
    scores.add(true, true + 7 * (true > 0))
    result = scores.compute()
    assert result["f1@0.75"] == result["ap"] == result["panoptic_quality"] == 1
    assert (result["split"], result["merged"]) == (0, 0)


def test_half_of_an_object_is_no_match() -> None:
    true = np.ones((1, 4), int)
    scores = ObjectScores()
    scores.add(true, np.array([[1, 1, 0, 0]]))
    assert scores.compute()["f1@0.5"] == 0


def test_below_a_half_objects_match_once() -> None:
    true, found = np.array([[1, 1, 1, 1, 1, 2]]), np.array([[1, 1, 2, 2, 3, 3]])
    scores = ObjectScores()
    scores.add(true, found)
    assert scores.compute([0.3])["recall@0.3"] == 1
    assert scores.compute([0.3])["precision@0.3"] == pytest.approx(2 / 3)


def test_split_and_merged() -> None:
    true, found = np.array([[1, 1, 1, 1, 2, 2, 3, 3]]), np.array([[1, 1, 2, 2, 3, 3, 3, 3]])
    scores = ObjectScores()
    scores.add(true, found)
    result = scores.compute()
    assert (result["split"], result["merged"]) == (1, 1)


def test_sections_by_themselves() -> None:
    """In 2D the same number in the next section is another object."""
    section = np.array([[1, 1, 0, 2, 2]])
    scores = ObjectScores()
    for _ in range(3):
        scores.add(section, section, separate=True)
    assert scores.compute()["true"] == scores.compute()["found"] == 6


def test_no_objects() -> None:
    scores = ObjectScores()
    scores.add(np.zeros((3, 3), int), np.zeros((3, 3), int))
    assert np.isnan(scores.compute()["f1@0.5"])


def test_sizes_differ() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3\).*\(3, 4\)"):
        ObjectScores().add(np.zeros((3, 3), int), np.zeros((3, 4), int))


def test_parts_of_several_processes_are_one() -> None:
    sections = [random_objects(seed) for seed in range(3)]
    whole, total = ObjectScores(), ObjectScores()
    for true, found in sections:
        whole.add(true, found, separate=True)
        part = ObjectScores()
        part.add(true, found)
        total.merge(part)
    assert total.compute() == whole.compute()
    assert whole.compute()["true"] == 72
