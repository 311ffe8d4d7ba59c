"""Fully connected conditional random field over one grey section."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
from pydensecrf.densecrf import DenseCRF
from pydensecrf.utils import create_pairwise_bilateral, create_pairwise_gaussian, unary_from_softmax

_GREY_LEVELS = 255.0  # srgb counts 8-bit grey levels, the image goes from 0 to 1
_RANGE_TOLERANCE = 1e-5  # what blending and interpolation in single precision add to 1
_SUM_TOLERANCE = 1e-2  # bfloat16 rounds the probabilities of a pixel by 0.004 together
_MAX_COMPAT = 1e6  # far above any unary (at most 11.5) and far below the overflow of single precision
_MAX_INT16 = 2**15 - 1  # the library's lattice coordinates
_MAX_INT32 = 2**31 - 1  # the library's array indices


def dense_crf(
    probabilities: np.ndarray,
    image: np.ndarray,
    *,
    gaussian_sxy: float = 3.0,
    gaussian_compat: float = 0.5,
    bilateral_sxy: float = 5.0,
    bilateral_srgb: float = 20.0,
    bilateral_compat: float = 1.0,
    iterations: int = 5,
) -> np.ndarray:
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

    pydensecrf normalises each kernel symmetrically, :math:`\tilde k(i, j) = k(i, j) / \sqrt{n_i n_j}` with
    :math:`n_i = \sum_j k(i, j)`: a weight is what all neighbours of a pixel together can say, whatever the widths. From
    :math:`Q = P`, each iteration updates all pixels at once,

    .. math::
        Q_i(l) \propto P_i(l) \exp \sum_m w_m \sum_j \tilde k_m(i, j)\, Q_j(l),

    where the sum includes :math:`j = i`. A permutohedral lattice computes it in linear time and approximates the
    kernels. Against the exact sums on the small tissue-like images of `tests/crf/test_dense_crf.py`, at least 99 % of
    the labels are equal and the probabilities differ by at most 0.005 on average and 0.15 at single pixels. That is no
    bound: on other images single pixels differed by 0.31, and strong weights on pure noise changed 6 % of the labels.

    The whole section is one graph. With the default widths and two classes that takes about 180 bytes of memory per
    pixel beside the inputs, 13 GB for 8624 x 8416 pixels, and somewhat over a microsecond on one core; widths of a few
    pixels and grey levels take up to twice the memory.

    The default parameters are modest, and to be chosen anew on validation data. The wide appearance kernels that are
    common for photographs (``bilateral_sxy`` 40 and more) cost sections of electron microscopy much of their accuracy.

    Args:
        probabilities: (C, W, H), floating point, C >= 2 classes that sum to 1 in each pixel (softmax, not logits).
            Values below 1e-5 count as 1e-5.
        image: (1, W, H), floating point in [0, 1]: the section as the network saw it.
        gaussian_sxy: width of the smoothness kernel, in pixels.
        gaussian_compat: weight of the smoothness kernel; 0 switches it off.
        bilateral_sxy: width of the appearance kernel in space, in pixels.
        bilateral_srgb: width of the appearance kernel in intensity, in 8-bit grey levels (the image times 255).
        bilateral_compat: weight of the appearance kernel; 0 switches it off.
        iterations: number of mean-field iterations.

    Returns:
        (C, W, H) float32, the approximate marginals; they sum to 1 in each pixel.

    Raises:
        ValueError: if an argument is not as above, or the section too large for the integers of the library: more than
            5e8 pixels, or widths that are too small beside it. The library itself does not check: it crashes the
            process or silently returns something else.

    References:
        P. Krähenbühl, V. Koltun: Efficient inference in fully connected CRFs with Gaussian edge potentials. NIPS 2011.
    """
    check_parameters(
        gaussian_sxy=gaussian_sxy,
        gaussian_compat=gaussian_compat,
        bilateral_sxy=bilateral_sxy,
        bilateral_srgb=bilateral_srgb,
        bilateral_compat=bilateral_compat,
        iterations=iterations,
    )
    _check_arrays(probabilities, image)
    classes, width, height = probabilities.shape

    # Not DenseCRF2D: here position is a feature like any other, and no order of width and height can be mistaken.
    crf = DenseCRF(width * height, classes)
    # Temporaries are not named, so that they are gone before the inference, where memory peaks.
    crf.setUnaryEnergy(unary_from_softmax(np.ascontiguousarray(probabilities, dtype=np.float32)))
    if bilateral_compat > 0:
        _check_lattice(
            [width / bilateral_sxy, height / bilateral_sxy, _GREY_LEVELS / bilateral_srgb],
            f"bilateral_sxy {bilateral_sxy} and bilateral_srgb {bilateral_srgb}",
        )
        grey = np.ascontiguousarray(image[0], dtype=np.float32) * _GREY_LEVELS
        crf.addPairwiseEnergy(
            create_pairwise_bilateral(sdims=[bilateral_sxy] * 2, schan=bilateral_srgb, img=grey),
            compat=bilateral_compat,
        )
        del grey
    if gaussian_compat > 0:
        _check_lattice([width / gaussian_sxy, height / gaussian_sxy], f"gaussian_sxy {gaussian_sxy}")
        crf.addPairwiseEnergy(
            create_pairwise_gaussian(sdims=[gaussian_sxy] * 2, shape=(width, height)), compat=gaussian_compat
        )
    return np.array(crf.inference(iterations), order="C").reshape(probabilities.shape)


def check_parameters(
    *,
    gaussian_sxy: float,
    gaussian_compat: float,
    bilateral_sxy: float,
    bilateral_srgb: float,
    bilateral_compat: float,
    iterations: int,
) -> None:
    """Check the parameters of :func:`dense_crf` on their own, before there is a section.

    Args:
        gaussian_sxy: a finite number above 0.
        gaussian_compat: a number from 0 to 1e6.
        bilateral_sxy: a finite number above 0.
        bilateral_srgb: a finite number above 0.
        bilateral_compat: a number from 0 to 1e6.
        iterations: an int of at least 1.

    Raises:
        ValueError: if a parameter is not as above; the message names it and its value.
    """
    widths = {"gaussian_sxy": gaussian_sxy, "bilateral_sxy": bilateral_sxy, "bilateral_srgb": bilateral_srgb}
    for name, value in widths.items():
        if not (_is_number(value) and 0 < value < math.inf):
            raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
    for name, value in {"gaussian_compat": gaussian_compat, "bilateral_compat": bilateral_compat}.items():
        if not (_is_number(value) and 0 <= value <= _MAX_COMPAT):
            raise ValueError(f"{name} must be a number from 0 to {_MAX_COMPAT:g}, got {value!r}")
    if not (_is_number(iterations) and isinstance(iterations, Integral) and 1 <= iterations <= _MAX_INT32):
        raise ValueError(f"iterations must be an int of at least 1, got {iterations!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_arrays(probabilities: np.ndarray, image: np.ndarray) -> None:
    shape = probabilities.shape
    if len(shape) != 3 or shape[0] < 2 or 0 in shape:
        raise ValueError(f"probabilities must be (C, W, H) of at least 2 classes and 1 pixel, got shape {shape}")
    if image.shape != (1, *shape[1:]):
        raise ValueError(f"image must be {(1, *shape[1:])} beside probabilities of shape {shape}, got {image.shape}")
    # A pixel has up to four lattice vertices (and, with many classes, as many values) in one array.
    if max(4, shape[0]) * (math.prod(shape[1:]) + 16) > _MAX_INT32:
        raise ValueError(f"probabilities of shape {shape} have more values than the 32-bit indices of pydensecrf reach")
    for name, array in {"probabilities": probabilities, "image": image}.items():
        if not np.issubdtype(array.dtype, np.floating):
            raise ValueError(f"{name} must be of a floating point type, in [0, 1], got {array.dtype}")
        low, high = array.min(), array.max()  # NaN if there is one
        if not (low >= -_RANGE_TOLERANCE and high <= 1 + _RANGE_TOLERANCE):
            raise ValueError(f"{name} must be finite and in [0, 1], got values from {low} to {high}")
    total = probabilities.sum(axis=0, dtype=np.float32)
    if abs(total - 1).max() > _SUM_TOLERANCE:
        raise ValueError(
            f"probabilities must sum to 1 over the classes in each pixel, got sums from {total.min()} to {total.max()}"
        )


def _check_lattice(extents: Sequence[float], widths: str) -> None:
    """Refuse features whose lattice coordinates overflow, given the extent of each feature in units of its width."""
    d = len(extents)
    # The lattice embeds features by an isometry times (d + 1) sqrt(2/3) into the plane of coordinates that sum to 0,
    # where one coordinate is at most sqrt(d / (d + 1)) of the length. Rounding and blurring add up to 2 (d + 1).
    # Coordinates that wrap around join pixels from far apart: at sxy 0.3, pixels 19661 columns away.
    if math.sqrt(2 * d * (d + 1) / 3) * math.hypot(*extents) + 2 * (d + 1) > _MAX_INT16:
        raise ValueError(f"{widths} are too small for a section of this size: 16-bit lattice coordinates overflow")
