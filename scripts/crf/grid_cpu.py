"""Mean field by the grid method on the CPU, in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from . import grid_kernels as kernels
from .grid import MIN_PROBABILITY, Grid, plan_kernels, smoothness_norm

_PIECES = 2  # for each thread, since they do not run evenly

Rows = Callable[[Callable[..., None], int], None]
"""Call a function on ranges (start, stop) of so many rows, in threads."""


def mean_field(
    probabilities: np.ndarray, image: np.ndarray, *, iterations: int, overwrite: bool, **kernel_parameters: float
) -> np.ndarray:
    """Infer the marginals of the CRF of `dense_crf`, whose arguments these are.

    Two classes need one field, the difference m of their probabilities: with d the log-odds, each iteration sets
    d = u + Σ w n K(n m) and m = tanh(d / 2). More classes have a field each.

    Args:
        probabilities: (C, W, H), floating point; C = 1 is the second of two classes.
        image: (1, W, H), floating point.
        iterations: number of iterations.
        overwrite: whether the log-odds may take the place of float32 probabilities of one channel.
        **kernel_parameters: widths and weights, as for `plan_kernels`.

    Returns:
        (C, W, H) float32, the marginals.
    """
    classes, *shape = probabilities.shape
    grids, taps, weight = plan_kernels(tuple(shape), **kernel_parameters)
    grey = np.ascontiguousarray(image[0], dtype=np.float32)
    threads = max(1, torch.get_num_threads())
    with ThreadPoolExecutor(threads) as pool:
        rows = partial(_in_threads, pool, threads)
        if classes == 1 and overwrite and probabilities.dtype == np.float32:
            unary = probabilities
        else:
            unary = np.empty((classes if classes > 2 else 1, *shape), np.float32)
        rows(partial(_log_odds, probabilities, unary), shape[0])
        if classes == 2:  # both together become the result
            before, after = state = np.empty((2, *unary.shape), np.float32)
        else:
            before, after = np.empty_like(unary), np.empty_like(unary)
        rows(partial(_copy, np.broadcast_to(np.float32(1), after.shape), after), shape[0])
        terms = [_GridTerm(grey, grid, compat, after[0], rows) for grid, compat in grids]
        norms = [smoothness_norm(taps, pixels) for pixels in shape]

        rows(partial(_copy, unary, after), shape[0])
        rows(partial(_probabilities, after), shape[0])
        for _ in range(iterations):
            before, after = after, before
            for field, logit, out in zip(before, unary, after, strict=True):
                rows(partial(kernels.smooth, field, taps, *norms, np.float32(weight), logit, out), shape[0])
                for term in terms:
                    term.add(field, out, rows)
            rows(partial(_probabilities, after), shape[0])
        if classes > 2:
            return after
        if classes == 1:
            rows(partial(_second_class, after), shape[0])
            return after
        rows(partial(_two_classes, after[0], state[:, 0]), shape[0])
        return state[:, 0]


class _GridTerm:
    """Message of a kernel that is computed on a grid.

    Args:
        image: (W, H) float32.
        grid: geometry.
        weight: of the kernel.
        ones: (W, H) float32.
        rows: runs a function in threads.
    """

    def __init__(self, image: np.ndarray, grid: Grid, weight: float, ones: np.ndarray, rows: Rows) -> None:
        self.image, self.grid, self.weight = image, grid, weight
        self.norm, norm = ones, np.zeros_like(image)
        self._add(ones, 1.0, norm, rows)
        self.norm = np.reciprocal(np.sqrt(norm, out=norm), out=norm)

    def add(self, field: np.ndarray, out: np.ndarray, rows: Rows) -> None:
        """Add the message of `field` to `out`, both (W, H) float32."""
        self._add(field, self.weight, out, rows)

    def _add(self, field: np.ndarray, weight: float, out: np.ndarray, rows: Rows) -> None:
        cell, scale = self.grid.cell, np.float32(self.grid.scale)
        for inner, outer in self.grid.tiles(self.image.shape):
            points = [self.grid.points(outer[i + 1] - outer[i]) for i in (0, 2)]
            lower, upper = np.zeros((2, *points, self.grid.bins), np.float32)
            source = (self.image, field, self.norm, outer, cell, scale)
            rows(partial(kernels.splat, *source, lower, upper), points[0] - 1)
            lower[1:] += upper[:-1]
            rows(partial(kernels.blur_down, lower, self.grid.taps, upper), points[0])
            rows(partial(kernels.blur_across, upper, self.grid.taps, self.grid.grey_taps), points[0])
            target = (self.norm, np.float32(weight), (outer[0], outer[2]), inner, cell, scale, out)
            rows(partial(kernels.interpolate, self.image, upper, *target), inner[1] - inner[0])


def _in_threads(pool: ThreadPoolExecutor, threads: int, function: Callable[..., None], count: int) -> None:
    if threads == 1:
        function(0, count)
        return
    edges = np.linspace(0, count, min(count, threads * _PIECES) + 1).astype(int).tolist()
    for _ in pool.map(function, edges[:-1], edges[1:]):
        pass  # an error of a thread is raised here


def _copy(source: np.ndarray, target: np.ndarray, start: int, stop: int) -> None:
    target[:, start:stop] = source[:, start:stop]


def _log_odds(probabilities: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
    for x in range(start, stop, 64):
        block = slice(x, min(x + 64, stop))
        part = probabilities[:, block].astype(np.float32)
        if len(part) == 1:
            part = np.concatenate([1 - part, part])
        log = np.log(np.clip(part, MIN_PROBABILITY, 1))
        out[:, block] = log[1] - log[0] if len(out) == 1 else log


def _probabilities(field: np.ndarray, start: int, stop: int) -> None:
    """Replace the log-odds of two classes by the difference of their probabilities, the logits of more by softmax."""
    if len(field) == 1:
        kernels.tanh_half(field[0], start, stop)
        return
    for x in range(start, stop, 64):
        block = field[:, x : min(x + 64, stop)]
        block -= block.max(axis=0)
        np.exp(block, out=block)
        block /= block.sum(axis=0)


def _second_class(difference: np.ndarray, start: int, stop: int) -> None:
    part = difference[:, start:stop]
    part *= 0.5
    part += 0.5


def _two_classes(difference: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
    for x in range(start, stop, 64):
        block = slice(x, min(x + 64, stop))
        half = 0.5 * difference[block]
        out[0, block] = 0.5 - half
        out[1, block] = 0.5 + half
