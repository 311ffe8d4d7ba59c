"""Fully connected conditional random field over one grey section."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np
import torch
from monai.config import NdarrayOrTensor

from . import grid_torch, permutohedral

METHODS = ("grid", "permutohedral")
"""How the sums over all pixels are computed."""

_RANGE_TOLERANCE = 1e-5  # what blending and interpolation in single precision add to 1
_SUM_TOLERANCE = 1e-2  # bfloat16 rounds the probabilities of a pixel by 0.004 together
_MAX_COMPAT = 1e6  # far above any unary (at most 11.5) and far below the overflow of single precision
_MAX_ITERATIONS = 2**31 - 1
_MIN_GRID_SRGB = 1.0  # 512 grid points along the grey levels


def dense_crf(
    probabilities: NdarrayOrTensor,
    image: NdarrayOrTensor,
    *,
    gaussian_sxy: float = 3.0,
    gaussian_compat: float = 0.5,
    bilateral_sxy: float = 5.0,
    bilateral_srgb: float = 20.0,
    bilateral_compat: float = 1.0,
    iterations: int = 5,
    method: str = "grid",
    overwrite: bool = False,
) -> NdarrayOrTensor:
    r"""Refine the class probabilities of a section by mean-field inference in a fully connected CRF.

    The energy of a labelling :math:`x`, Equations 1-3 of the paper, is

    .. math::
        E(x) = \sum_i -\log P_i(x_i)
            + \sum_{i<j} [x_i \neq x_j] \bigl(w_g\, \tilde k_g(i, j) + w_b\, \tilde k_b(i, j)\bigr)

    with Potts compatibility, weights :math:`w` (``compat``) and two Gaussian kernels over position :math:`p` and grey
    level :math:`I`, smoothness and appearance:

    .. math::
        k_g(i, j) = \exp\bigl(-|p_i - p_j|^2 / 2 s_{xy}^2\bigr), \quad
        k_b(i, j) = \exp\bigl(-|p_i - p_j|^2 / 2 s_{xy}^2 - (I_i - I_j)^2 / 2 s_{rgb}^2\bigr).

    Each kernel is normalised symmetrically, :math:`\tilde k(i, j) = k(i, j) / \sqrt{n_i n_j}` with
    :math:`n_i = \sum_j k(i, j)`: a weight is what all neighbours of a pixel together can say, whatever the widths. From
    :math:`Q = P`, each iteration updates all pixels at once,

    .. math::
        Q_i(l) \propto P_i(l) \exp \sum_m w_m \sum_j \tilde k_m(i, j)\, Q_j(l),

    where the sum includes :math:`j = i`. Two methods approximate the sums in linear time; the whole section is one
    graph in both.

    "grid" distributes the pixels over a regular grid of position and grey level, convolves it and interpolates. Its
    points are about half a kernel's width apart, one pixel at least: narrow kernels cost time, not exactness. With the
    kernel of `configs/inference.json`, 43 pixels and 51 grey levels wide, it takes less than a tenth of the time of
    "permutohedral" on one core; with 5 pixels and 20 grey levels a third; with 3 and 5 as much; narrower ones can take
    several times as long. Widths below one grey level are refused. Memory is 12 bytes a pixel beyond the result's (8
    with `overwrite`; with more than two classes, 8 for each and 4), and at most 64 MiB for the grid, which is made in
    tiles where it would need more. It runs in `torch.get_num_threads()` threads, whose number changes nothing in the
    result; for tensors on a GPU it runs there.

    "permutohedral" is the lattice of the paper, by pydensecrf2: one thread, about a microsecond and 150 to 180 bytes a
    pixel (up to twice as many if widths are of a few pixels and grey levels), for sections of up to 5e8 pixels and
    widths that are not too small beside it.

    Against the exact sums on the small tissue-like images of `tests/crf/test_dense_crf.py`, at least 99 % of the labels
    are equal and the probabilities differ by at most 0.005 on average and 0.15 at single pixels, by either method; by
    "grid" a third to a tenth as much. That is no bound: by "permutohedral", on other images single pixels differed by
    0.31, and strong weights on pure noise changed 6 % of the labels. On real sections both give the same label to at
    least 99.9 % of the pixels (`docs/results/crf_cost.md`).

    The default parameters are modest, and to be chosen anew on validation data: `configs/inference.json` has those of
    the shipped weights, whose appearance kernel is wide (``bilateral_sxy`` 43) but weak.

    Args:
        probabilities: (C, W, H), floating point: C classes that sum to 1 in each pixel (softmax, not logits), or one
            channel, which is the second of two classes. Values below 1e-5 count as 1e-5. An array, or a tensor on any
            device.
        image: (1, W, H), floating point in [0, 1]: the section as the network saw it.
        gaussian_sxy: width of the smoothness kernel, in pixels.
        gaussian_compat: weight of the smoothness kernel; 0 switches it off.
        bilateral_sxy: width of the appearance kernel in space, in pixels.
        bilateral_srgb: width of the appearance kernel in intensity, in 8-bit grey levels (the image times 255).
        bilateral_compat: weight of the appearance kernel; 0 switches it off.
        iterations: number of mean-field iterations.
        method: one of `METHODS`.
        overwrite: whether `probabilities` may be used as memory, as "grid" can use one channel of float32 on the CPU.

    Returns:
        (C, W, H) float32, the approximate marginals. Of the kind of `probabilities`, on their device.

    Raises:
        ValueError: if an argument is not as above, or the section too large or a width too small for the method.

    References:
        P. Krähenbühl, V. Koltun: Efficient inference in fully connected CRFs with Gaussian edge potentials. NIPS 2011.
        J. Chen, S. Paris, F. Durand: Real-time edge-aware image processing with the bilateral grid. SIGGRAPH 2007.
    """
    kernels = {
        "gaussian_sxy": gaussian_sxy,
        "gaussian_compat": gaussian_compat,
        "bilateral_sxy": bilateral_sxy,
        "bilateral_srgb": bilateral_srgb,
        "bilateral_compat": bilateral_compat,
    }
    check_parameters(**kernels, iterations=iterations, method=method)
    probabilities, image = (a.detach() if isinstance(a, torch.Tensor) else a for a in (probabilities, image))
    _check_shapes(probabilities, image)
    if method == "permutohedral":
        permutohedral.check_size((max(2, len(probabilities)), *probabilities.shape[1:]), **kernels)
    _check_values(probabilities, image)
    if isinstance(probabilities, torch.Tensor) and probabilities.device.type != "cpu" and method == "grid":
        image = torch.as_tensor(image, device=probabilities.device)
        return grid_torch.mean_field(probabilities, image, **kernels, iterations=iterations)
    if method == "grid":
        from . import grid_cpu  # here, since Numba takes a moment to load, and longer where it has to compile

        refined = grid_cpu.mean_field(
            _to_numpy(probabilities), _to_numpy(image), **kernels, iterations=iterations, overwrite=overwrite
        )
    else:
        both = _to_numpy(probabilities)
        both = np.concatenate([1 - both, both]) if len(both) == 1 else both
        refined = permutohedral.mean_field(both, _to_numpy(image), **kernels, iterations=iterations)
        refined = refined[-len(probabilities) :]
    return torch.from_numpy(refined).to(probabilities.device) if isinstance(probabilities, torch.Tensor) else refined


def check_parameters(
    *,
    gaussian_sxy: float,
    gaussian_compat: float,
    bilateral_sxy: float,
    bilateral_srgb: float,
    bilateral_compat: float,
    iterations: int,
    method: str,
) -> None:
    """Check the parameters of :func:`dense_crf` on their own, before there is a section.

    Args:
        gaussian_sxy: a finite number above 0.
        gaussian_compat: a number from 0 to 1e6.
        bilateral_sxy: a finite number above 0.
        bilateral_srgb: a finite number above 0.
        bilateral_compat: a number from 0 to 1e6.
        iterations: an int of at least 1.
        method: one of `METHODS`; "grid" wants a `bilateral_srgb` of at least 1.

    Raises:
        ValueError: if a parameter is not as above; the message names it and its value.
    """
    widths = {"gaussian_sxy": gaussian_sxy, "bilateral_sxy": bilateral_sxy, "bilateral_srgb": bilateral_srgb}
    for name, value in widths.items():
        if not (_is_number(value) and 0 < value < math.inf):
            raise ValueError(f"{name} must be a finite number above 0, but got {value!r}")
    for name, value in {"gaussian_compat": gaussian_compat, "bilateral_compat": bilateral_compat}.items():
        if not (_is_number(value) and 0 <= value <= _MAX_COMPAT):
            raise ValueError(f"{name} must be a number from 0 to {_MAX_COMPAT:g}, but got {value!r}")
    if not (_is_number(iterations) and isinstance(iterations, Integral) and 1 <= iterations <= _MAX_ITERATIONS):
        raise ValueError(f"iterations must be an int of at least 1, but got {iterations!r}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, but got {method!r}")
    if method == "grid" and bilateral_compat > 0 and bilateral_srgb < _MIN_GRID_SRGB:
        raise ValueError(
            f"bilateral_srgb must be at least {_MIN_GRID_SRGB:g} grey level for the method 'grid', "
            f"but got {bilateral_srgb!r}; 'permutohedral' has no such limit"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _to_numpy(array: NdarrayOrTensor) -> np.ndarray:
    if isinstance(array, torch.Tensor):
        return array.cpu().float().numpy()  # NumPy has no bfloat16
    return array


def _check_shapes(probabilities: NdarrayOrTensor, image: NdarrayOrTensor) -> None:
    shape = tuple(probabilities.shape)
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"probabilities must be (C, W, H) of at least 1 class and 1 pixel, but got shape {shape}")
    if tuple(image.shape) != (1, *shape[1:]):
        raise ValueError(
            f"image must be {(1, *shape[1:])} beside probabilities of shape {shape}, but got {tuple(image.shape)}"
        )


def _check_values(probabilities: NdarrayOrTensor, image: NdarrayOrTensor) -> None:
    for name, array in {"probabilities": probabilities, "image": image}.items():
        tensor = isinstance(array, torch.Tensor)
        if not (array.is_floating_point() if tensor else np.issubdtype(array.dtype, np.floating)):
            raise ValueError(f"{name} must be of a floating point type, in [0, 1], but got {array.dtype}")
        low, high = float(array.min()), float(array.max())  # NaN if there is one
        if not (low >= -_RANGE_TOLERANCE and high <= 1 + _RANGE_TOLERANCE):
            raise ValueError(f"{name} must be finite and in [0, 1], but got values from {low} to {high}")
    if len(probabilities) == 1:
        return
    single = torch.float32 if isinstance(probabilities, torch.Tensor) else np.float32
    total = probabilities.sum(axis=0, dtype=single)
    low, high = float(total.min()), float(total.max())
    if max(1 - low, high - 1) > _SUM_TOLERANCE:
        raise ValueError(
            f"probabilities must sum to 1 over the classes in each pixel, but got sums from {low} to {high}"
        )
