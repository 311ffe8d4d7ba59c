"""Mean field by the grid method in PyTorch's operations, for a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from .grid import MIN_PROBABILITY, Grid, plan_kernels, smoothness_norm


def mean_field(
    probabilities: torch.Tensor, image: torch.Tensor, *, iterations: int, **kernel_parameters: float
) -> torch.Tensor:
    """Infer the marginals of the CRF as `grid_cpu.mean_field` does, where the tensors are.

    Args:
        probabilities: (C, W, H), floating point; C = 1 is the second of two classes.
        image: (1, W, H), floating point, on the same device.
        iterations: number of iterations.
        **kernel_parameters: widths and weights, as for `plan_kernels`.

    Returns:
        (C, W, H) float32, the marginals, on the same device; on a GPU, sums come in any order, so that two runs may
        differ in the last digits.
    """
    grids, taps, weight = plan_kernels(tuple(probabilities.shape[1:]), **kernel_parameters)
    with torch.no_grad():
        classes = len(probabilities)
        probabilities = probabilities.float()
        if classes == 1:
            probabilities = torch.cat([1 - probabilities, probabilities])
        logits = probabilities.clamp(MIN_PROBABILITY, 1).log()
        unary = logits[1:] - logits[:1] if len(logits) == 2 else logits
        grey = image[0].float()
        terms = [_GridTerm(grey, grid, compat) for grid, compat in grids]
        if weight > 0:
            terms.append(_SmoothTerm(grey, taps, weight))
        logits = unary
        for _ in range(iterations):
            fields = _probabilities(logits)
            logits = unary.clone()
            for term in terms:
                term.add(fields, logits)
        fields = _probabilities(logits)
        if len(fields) > 1:
            return fields
        second = 0.5 + 0.5 * fields
        return second if classes == 1 else torch.cat([0.5 - 0.5 * fields, second])


def _probabilities(logits: torch.Tensor) -> torch.Tensor:
    return torch.tanh(logits / 2) if len(logits) == 1 else logits.softmax(0)


class _SmoothTerm:
    """Message of a kernel over position that is convolved pixel by pixel."""

    def __init__(self, image: torch.Tensor, taps: np.ndarray, weight: float) -> None:
        down, across = (torch.from_numpy(smoothness_norm(taps, pixels)).to(image) for pixels in image.shape)
        self.taps, self.weight = torch.from_numpy(taps).to(image), weight
        self.norm = down[:, None] * across

    def add(self, fields: torch.Tensor, out: torch.Tensor) -> None:
        """Add the messages of fields to `out`, both (F, W, H)."""
        blurred = _convolve((self.norm * fields)[:, None, None], [None, self.taps, self.taps])
        out += self.weight * self.norm * blurred[:, 0, 0]


class _GridTerm:
    """Message of a kernel that is computed on a grid."""

    def __init__(self, image: torch.Tensor, grid: Grid, weight: float) -> None:
        self.image, self.grid, self.weight = image, grid, weight
        self.taps, self.grey_taps = (torch.from_numpy(taps).to(image) for taps in (grid.taps, grid.grey_taps))
        self.norm = torch.ones_like(image)
        total = torch.zeros_like(image)[None]
        self._add(torch.ones_like(total), 1.0, total)
        self.norm = total[0].rsqrt()

    def add(self, fields: torch.Tensor, out: torch.Tensor) -> None:
        """Add the messages of fields to `out`, both (F, W, H)."""
        self._add(fields, self.weight, out)

    def _add(self, fields: torch.Tensor, weight: float, out: torch.Tensor) -> None:
        for inner, outer in self.grid.tiles(self.image.shape):
            wide = (slice(*outer[:2]), slice(*outer[2:]))
            tile = (slice(*inner[:2]), slice(*inner[2:]))
            norm = self.norm[wide]
            size = (self.grid.bins, *map(self.grid.points, norm.shape))
            cells = splat(norm * fields[:, *wide], self._positions(outer, outer, size), size)
            cells = _convolve(cells[:, None], [self.grey_taps, self.taps, self.taps])[:, 0]
            out[:, *tile] += weight * self.norm[tile] * interpolate(cells, self._positions(inner, outer, size))

    def _positions(self, window: Sequence[int], outer: Sequence[int], size: Sequence[int]) -> torch.Tensor:
        """Find where pixels lie in the grid of a tile, as `grid_sample` has it: last axis first, from -1 to 1."""
        image = self.image[slice(*window[:2]), slice(*window[2:])]
        x, y = (
            torch.arange(window[i] - outer[i], window[i + 1] - outer[i], device=image.device) / self.grid.cell
            for i in (0, 2)
        )
        axes = torch.broadcast_tensors(y, x[:, None], image * self.grid.scale)
        return torch.stack([2 * axis / (n - 1) - 1 for axis, n in zip(axes, reversed(size), strict=True)], dim=-1)


def interpolate(cells: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Interpolate a grid trilinearly.

    Args:
        cells: (F, G, X, Y).
        positions: (W, H, 3), as `torch.nn.functional.grid_sample` takes them.

    Returns:
        (F, W, H).
    """
    sampled = functional.grid_sample(
        cells[None], positions[None, None], mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled[0, :, 0]


def splat(values: torch.Tensor, positions: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Distribute values over a grid: the transpose of :func:`interpolate`, which is linear, so its gradient.

    Args:
        values: (F, W, H).
        positions: (W, H, 3).
        size: (G, X, Y).

    Returns:
        (F, G, X, Y).
    """
    with torch.enable_grad():
        cells = values.new_zeros((len(values), *size), requires_grad=True)
        return torch.autograd.grad(interpolate(cells, positions), cells, values)[0]


def _convolve(values: torch.Tensor, taps: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Convolve (F, 1, D, H, W) along each axis with symmetric taps, given from their middle; outside is zero."""
    for axis, half in enumerate(taps):
        if half is not None:
            kernel = torch.cat([half[1:].flip(0), half])
            shape = [1, 1, 1, 1, 1]
            shape[2 + axis] = len(kernel)
            padding = [0, 0, 0]
            padding[axis] = len(half) - 1
            values = functional.conv3d(values, kernel.view(shape), padding=padding)
    return values
