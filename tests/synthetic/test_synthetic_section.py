from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import label as connected

from scripts.synthetic import KINDS, synthetic_section


@cache
def drawn(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, dict]:
    return synthetic_section(seed, (256, 256), 10.0, kind)


def test_shapes_types_and_values():
    image, label, parameters = synthetic_section(0, (160, 96), 8.0)
    assert image.shape == label.shape == (160, 96)
    assert image.dtype == label.dtype == np.uint8
    assert parameters["kind"] in KINDS
    assert parameters["pixel_size_nm"] == 8.0
    for kind in KINDS:
        for seed in range(3):
            assert set(np.unique(drawn(kind, seed)[1])) <= {0, 1}


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes_other_seed_other_section(kind):
    image, label, parameters = synthetic_section(3, (128, 128), 10.0, kind)
    synthetic_section(4, (128, 128), 10.0)  # nothing is left over from section to section
    again = synthetic_section(np.random.SeedSequence(3), (128, 128), 10.0, kind)
    assert again[0].tobytes() == image.tobytes()
    assert again[1].tobytes() == label.tobytes()
    assert again[2] == parameters
    other = synthetic_section(4, (128, 128), 10.0, kind)
    assert np.mean(other[0] != image) > 0.5


def test_a_seed_sequence_is_not_used_up():
    sequence = np.random.SeedSequence([7, 1])
    first, second = (synthetic_section(sequence, (64, 64))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_kinds_are_drawn_by_their_weights():
    assert sum(KINDS.values()) == pytest.approx(1)
    found = [synthetic_section(seed, (32, 32), 20.0)[2]["kind"] for seed in range(300)]
    for kind, weight in KINDS.items():
        # four standard deviations
        assert abs(found.count(kind) / 300 - weight) < 4 * np.sqrt(weight * (1 - weight) / 300)


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("neuropil", 0.02, 0.15),
        ("muscle", 0.12, 0.55),
        ("liver", 0.06, 0.40),
        ("cultured_cell", 0.01, 0.15),
        ("blood", 0.0, 0.012),
        ("nerve", 0.005, 0.08),
        ("random", 0.02, 0.3),
    ],
)
def test_share_of_mitochondria(kind, least, most):
    assert least <= np.mean([drawn(kind, seed)[1].mean() for seed in range(20)]) <= most


def test_structures_are_in_nanometres():
    """The same extent at half the pixel size is the same tissue: the mean area of a mitochondrion within a tenth."""
    coarse = [synthetic_section(seed, (192, 192), 10.0, kind)[1] for kind in ("neuropil", "liver") for seed in range(6)]
    fine = [synthetic_section(seed, (384, 384), 5.0, kind)[1] for kind in ("neuropil", "liver") for seed in range(6)]
    areas = []
    for labels, pixel in ((coarse, 10.0), (fine, 5.0)):
        areas.append(sum(label.sum() for label in labels) * pixel**2 / sum(connected(label)[1] for label in labels))
    assert areas[0] == pytest.approx(areas[1], rel=0.1)
    overlap = [
        np.minimum(a, b[::2, ::2]).sum() / max(1, np.maximum(a, b[::2, ::2]).sum())
        for a, b in zip(coarse, fine, strict=True)
    ]
    assert np.median(overlap) > 0.9


def test_sections_differ_in_grey_levels_noise_and_contrast():
    images = [synthetic_section(seed, (128, 128))[0].astype(float) for seed in range(60)]
    noise = [np.median(np.abs(i[1:, 1:] - i[:-1, 1:] - i[1:, :-1] + i[:-1, :-1])) for i in images]
    spread = [np.subtract(*np.percentile(i, (95, 5))) for i in images]
    assert max(noise) > 8 * (min(noise) + 1)
    assert max(spread) > 3 * min(spread)
    assert min(spread) > 8
    assert np.std([i.mean() for i in images]) > 20


def test_no_threshold_finds_the_mitochondria():
    best = []
    for seed in range(12):
        image, label, _ = drawn("neuropil", seed)
        if label.any():
            scores = [((image < t) & (label > 0)).sum() / ((image < t) | (label > 0)).sum() for t in range(4, 256, 8)]
            best.append(max(scores))
    assert np.mean(best) < 0.45


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed .* -1"),
        ({"seed": 1.5}, "seed .* 1.5"),
        ({"seed": True}, "seed .* True"),
        ({"size": (512,)}, "size"),
        ({"size": (512, 31)}, "size .*31"),
        ({"size": (100.5, 64)}, "size .*100.5"),
        ({"pixel_size": 0.0}, "pixel_size .* 0.0"),
        ({"pixel_size": float("nan")}, "pixel_size .* nan"),
        ({"pixel_size": 50}, "pixel_size .* 50"),
        ({"kind": "bone"}, "kind .* neuropil.* 'bone'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic_section(**{"seed": 0} | arguments)
