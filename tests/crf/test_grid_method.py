"""What the method "grid" promises beyond what both methods do, which test_dense_crf.py tests."""

from __future__ import annotations

import functools
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from benchmarks.crf_cost import PARAMETERS, cost
from scripts.crf import METHODS, crf_window, dense_crf, grid_torch
from scripts.crf.grid import Grid
from tests.crf.exact import disc, exact_mean_field, noise, stripes, two_classes

SHIPPED = PARAMETERS["as shipped"]
# the defaults of configs/inference.json
MILD = {
    "gaussian_sxy": 1.9,
    "gaussian_compat": 0.67,
    "bilateral_sxy": 43.0,
    "bilateral_srgb": 51.0,
    "bilateral_compat": 0.41,
    "iterations": 5,
}
STRONG = PARAMETERS["strong"]


def tissue(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A section of smooth grain and dark bodies, equalised, and scores of the bodies with soft edges and errors."""
    rng = np.random.default_rng(0)

    def field(sigma: float) -> np.ndarray:
        values = gaussian_filter(rng.normal(size=(width, height)), sigma, mode="wrap")
        return values / values.std()

    bodies = field(8)
    image = 0.6 * field(2) + 0.3 * field(1) - 1.5 / (1 + np.exp(-8 * (bodies - 1)))
    image = image.argsort(axis=None).argsort().reshape(image.shape) / image.size
    scores = 12 * (bodies - 1) + 2 * field(3)
    return two_classes(1 / (1 + np.exp(-scores))).astype(np.float32), image[np.newaxis].astype(np.float32)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("case", [disc, stripes, noise])
@pytest.mark.parametrize(
    ("sxy", "srgb"), [(0.3, 20), (1.5, 20), (2.9, 4), (3, 20), (6, 1.5), (6, 1e300), (1e300, 20), (1e300, 1e300)]
)
def test_kernels_of_any_width_equal_exact_sums(case: Callable, sxy: float, srgb: float) -> None:
    probabilities, image = case(np.random.default_rng(0), 24, 20)
    parameters = {**MILD, "bilateral_sxy": sxy, "bilateral_srgb": srgb, "bilateral_compat": 1.5}
    refined = dense_crf(probabilities, image, **parameters)
    # a width of 1e4 is infinite to the oracle, whose squares would overflow
    exact = exact_mean_field(probabilities, image, **{k: min(v, 1e4) for k, v in parameters.items()})
    assert abs(refined - exact).mean() <= 1.5e-3
    assert abs(refined - exact).max() <= 0.01


@pytest.mark.parametrize("sxy", [0.3, 8.0, 16.1, 40.0, 1e300])
def test_smoothness_of_any_width_equals_exact_sums(sxy: float) -> None:
    probabilities, image = disc(np.random.default_rng(0), 34, 28)
    parameters = {**MILD, "gaussian_sxy": sxy, "gaussian_compat": 2.0, "bilateral_compat": 0.0}
    refined = dense_crf(probabilities, image, **parameters)
    exact = exact_mean_field(probabilities, image, **{k: min(v, 1e4) for k, v in parameters.items()})
    assert abs(refined - exact).max() <= 0.01


@pytest.mark.parametrize(
    "parameters", [SHIPPED, MILD, STRONG, {**STRONG, "bilateral_sxy": 5.0}], ids=["57", "43", "40", "5"]
)
def test_is_closer_to_exact_sums_than_the_lattice(parameters: dict[str, float]) -> None:
    probabilities, image = (array[:, 40:88, 40:80] for array in tissue(96, 96))
    exact = exact_mean_field(probabilities, image, **parameters)
    grid, lattice = (
        abs(dense_crf(probabilities, image, **parameters, method=method) - exact).mean()
        for method in ("grid", "permutohedral")
    )
    assert grid <= lattice / 2
    assert 0.1 < exact[1].mean() < 0.9


@pytest.mark.parametrize(
    ("parameters", "least"), [(SHIPPED, 0.9995), (MILD, 0.9995), (STRONG, 0.999)], ids=["shipped", "mild", "strong"]
)
def test_labels_are_those_of_the_lattice(parameters: dict[str, float], least: float) -> None:
    probabilities, image = tissue(384, 256)
    grid, lattice = (
        dense_crf(probabilities, image, **parameters, method=method)[1] > 0.5 for method in ("grid", "permutohedral")
    )
    assert (grid == lattice).mean() >= least
    assert (grid != (probabilities[1] > 0.5)).mean() > 3 * (1 - least)  # the CRF does more than the tolerance


@pytest.mark.parametrize("case", [tissue, lambda *shape: stripes(np.random.default_rng(0), *shape)])
@pytest.mark.parametrize("count", [2, 3, 8])
def test_threads_change_nothing(count: int, case: Callable, threads: Callable[[int], None]) -> None:
    probabilities, image = case(130, 90)
    parameters = {**MILD, "bilateral_sxy": 9.0}
    threads(1)
    alone = dense_crf(probabilities, image, **parameters)
    threads(count)
    np.testing.assert_array_equal(dense_crf(probabilities, image, **parameters), alone)


@pytest.mark.parametrize("values", [1, 3000, 12000])
def test_tiles_change_nothing(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, image = tissue(110, 90)
    parameters = {**STRONG, "gaussian_sxy": 17.0, "bilateral_sxy": 5.0}
    whole = dense_crf(probabilities, image, **parameters)
    monkeypatch.setattr(Grid, "tiles", functools.partialmethod(Grid.tiles, values=values))
    assert len(list(Grid.of_widths(5.0, 13 / 255, (110, 90)).tiles((110, 90)))) > 1
    np.testing.assert_allclose(dense_crf(probabilities, image, **parameters), whole, atol=1e-5)


@pytest.mark.parametrize(("sxy", "srgb"), [(43.0, 51.0), (5.0, 20.0), (3.0, 5.0), (2.0, 1.0)])
@pytest.mark.parametrize("shape", [(8624, 8416), (300, 20000), (20000, 300), (1, 1)])
def test_grid_of_a_tile_is_bounded(shape: tuple[int, int], sxy: float, srgb: float) -> None:
    grid = Grid.of_widths(sxy, srgb / 255, shape)
    pixels = 0
    for inner, outer in grid.tiles(shape):
        pixels += (inner[1] - inner[0]) * (inner[3] - inner[2])
        assert grid.points(outer[1] - outer[0]) * grid.points(outer[3] - outer[2]) * grid.bins <= 2**23
        assert all(edge % grid.cell == 0 for edge in (outer[0], outer[2], inner[0], inner[2]))
    assert pixels == shape[0] * shape[1]


@pytest.mark.parametrize(("channels", "overwrite", "least"), [(2, False, 20), (1, False, 16), (1, True, 12)])
@pytest.mark.parametrize("parameters", [SHIPPED, {**STRONG, "bilateral_sxy": 20.0}], ids=["shipped", "strong"])
def test_memory_is_bounded(parameters: dict[str, float], channels: int, overwrite: bool, least: int) -> None:
    """Bytes a pixel beyond the result; the grid itself is in there with some."""
    probabilities, image = (array.astype(np.float32) for array in tissue(1024, 768))
    probabilities = np.ascontiguousarray(probabilities[-channels:])
    dense_crf(probabilities[:, :9, :9], image[:, :9, :9], **parameters)  # what is loaded stays, and is not counted
    tracemalloc.start()
    refined = dense_crf(probabilities, image, **parameters, overwrite=overwrite)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (peak - refined.nbytes) / image.size <= least


@pytest.mark.parametrize("case", [disc, stripes])
@pytest.mark.parametrize(
    "parameters",
    [SHIPPED, STRONG, {**STRONG, "gaussian_sxy": 17.0, "bilateral_sxy": 2.0}, {**SHIPPED, "bilateral_compat": 0.0}],
    ids=["shipped", "strong", "on grids", "smoothness"],
)
def test_operations_of_torch_equal_the_compiled_ones(case: Callable, parameters: dict[str, float]) -> None:
    probabilities, image = case(np.random.default_rng(0), 60, 44)
    tensors = (torch.from_numpy(array) for array in (probabilities, image))
    refined = grid_torch.mean_field(*tensors, **parameters)
    assert refined.dtype == torch.float32
    np.testing.assert_allclose(refined, dense_crf(probabilities, image, **parameters), atol=1e-4)
    if len(probabilities) == 2:
        second = grid_torch.mean_field(torch.from_numpy(probabilities[1:]), torch.from_numpy(image), **parameters)
        np.testing.assert_allclose(second, refined[1:], atol=1e-4)


def test_tiles_change_nothing_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, image = map(torch.from_numpy, tissue(60, 70))
    parameters = {**STRONG, "bilateral_sxy": 5.0}
    whole = grid_torch.mean_field(probabilities, image, **parameters)
    monkeypatch.setattr(Grid, "tiles", functools.partialmethod(Grid.tiles, values=3000))
    np.testing.assert_allclose(grid_torch.mean_field(probabilities, image, **parameters), whole, atol=1e-5)


def test_tensors_become_tensors() -> None:
    probabilities, image = tissue(40, 30)
    refined = dense_crf(torch.from_numpy(probabilities), torch.from_numpy(image))
    assert isinstance(refined, torch.Tensor)
    np.testing.assert_array_equal(refined, dense_crf(probabilities, image))


def test_refuses_grey_levels_too_narrow_for_a_grid() -> None:
    probabilities, image = tissue(40, 30)
    with pytest.raises(ValueError, match=r"bilateral_srgb must be at least 1 .*got 0\.9; 'permutohedral' has no such"):
        dense_crf(probabilities, image, bilateral_srgb=0.9)
    dense_crf(probabilities, image, bilateral_srgb=0.9, method="permutohedral")
    dense_crf(probabilities, image, bilateral_srgb=0.9, bilateral_compat=0)


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [SHIPPED, STRONG, {**STRONG, "gaussian_sxy": 30.0, "bilateral_sxy": 17.0}])
def test_parts_of_a_section_with_what_surrounds_them(parameters: dict[str, float]) -> None:
    probabilities, image = tissue(700, 610)
    whole = dense_crf(probabilities, image, **parameters)[-1]
    different = np.zeros(whole.shape, bool)
    for x in range(0, 700, 200):
        for y in range(0, 610, 200):
            window = slice(x, min(x + 200, 700)), slice(y, min(y + 200, 610))
            seen = crf_window(window, whole.shape, **parameters)
            part = dense_crf(probabilities[:, *seen], image[:, *seen], **parameters)[-1]
            inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, seen, strict=True))
            different[window] = (part[inner] > 0.5) != (whole[window] > 0.5)
            np.testing.assert_allclose(part[inner], whole[window], atol=0.02)
    assert different.mean() < 1e-4
    assert all(
        side.stop - side.start < 700 for side in crf_window((slice(0, 9), slice(0, 9)), (700, 700), **parameters)
    )


@pytest.mark.slow
def test_the_benchmark_measures_both_methods() -> None:
    rows = [line.split(" | ") for line in cost([64], repeats=1, largest=64)][2:]
    assert [row[1] for row in rows] == list(METHODS)
    assert rows[1][3] == "1.000"
    assert all(float(row[2]) > 0 for row in rows)
