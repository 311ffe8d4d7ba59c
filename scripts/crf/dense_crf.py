"""Fully connected conditional random field over one grey section."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np
from pydensecrf.densecrf import DenseCRF
from pydensecrf.utils import create_pairwise_bilateral, create_pairwise_gaussian, unary_from_softmax

_GREY_LEVELS = 255.0  # srgb counts 8-bit grey levels, the image goes from 0 to 1
_SUM_TOLERANCE = 1e-2  # half precision rounds the probabilities of a pixel by up to 0.004 together
_MAX_COMPAT = 1e6  # the unary ends at 11.5; messages far above overflow the library's single precision to NaN
_MAX_INT16 = 2**15 - 1  # the library's lattice coordinates
_MAX_INT32 = 2**31 - 1  # the library's array indices


def dense_crf(
    probabilities: np.ndarray,
    image: np.ndarray,
    *,
    gaussian_sxy: float = 3.0,
    gaussian_compat: float = 3.0,
    bilateral_sxy: float = 40.0,
    bilateral_srgb: float = 10.0,
    bilateral_compat: float = 5.0,
    iterations: int = 5,
) -> np.ndarray:
    r"""Refine the class probabilities of a section by mean-field inference in a fully connected CRF.

    The energy of a labelling :math:`x`, Equations 1-3 of the paper, is

    .. math::
        E(x) = \sum_i -\log P_i(x_i)
            + \sum_{i<j} [x_i \neq x_j] \bigl(w_g\, \tilde k_g(i, j) + w_b\, \tilde k_b(i, j)\bigr)

    with Potts compatibility, the weights :math:`w` (``compat``) and two Gaussian kernels of positions :math:`p` and
    grey levels :math:`I`,

    .. math::
        k_g(i, j) = \exp\bigl(-|p_i - p_j|^2 / 2 s_{xy}^2\bigr), \quad
        k_b(i, j) = \exp\bigl(-|p_i - p_j|^2 / 2 s_{xy}^2 - (I_i - I_j)^2 / 2 s_{rgb}^2\bigr).

    pydensecrf normalises each kernel symmetrically, :math:`\tilde k(i, j) = k(i, j) / \sqrt{n_i n_j}` with
    :math:`n_i = \sum_j k(i, j)`, so that a weight says how much all neighbours of a pixel count together, whatever the
    widths. From :math:`Q = P`, each iteration updates all pixels at once,

    .. math::
        Q_i(l) \propto P_i(l) \exp \sum_m w_m \sum_j \tilde k_m(i, j)\, Q_j(l),

    where the sum includes :math:`j = i`. It is computed in linear time on a permutohedral lattice, which approximates
    the kernels. The whole section is one graph. With the default widths that takes about 160 bytes and 1 µs per pixel.

    Args:
        probabilities: (C, W, H), floating point, C >= 2 classes that sum to 1 in each pixel (softmax, not logits).
            Values below 1e-5 count as 1e-5.
        image: (1, W, H), floating point in [0, 1]: the section that the network saw.
        gaussian_sxy: width of the smoothness kernel, in pixels.
        gaussian_compat: weight of the smoothness kernel; 0 switches it off.
        bilateral_sxy: width of the appearance kernel in space, in pixels.
        bilateral_srgb: width of the appearance kernel in intensity, in 8-bit grey levels (image times 255).
        bilateral_compat: weight of the appearance kernel; 0 switches it off.
        iterations: number of mean-field iterations.

    Returns:
        (C, W, H) float32, the approximate marginals, which sum to 1 in each pixel.

    Raises:
        ValueError: if an argument is not as above, or a width is so small that the lattice's 16-bit coordinates cannot
            hold the section. The library itself would crash or silently return something else.

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
    classes, *shape = probabilities.shape

    # Positions are features like any other here: DenseCRF2D alone has an order of width and height to mistake.
    crf = DenseCRF(math.prod(shape), classes)
    crf.setUnaryEnergy(unary_from_softmax(probabilities.astype(np.float32, copy=False)))
    if bilateral_compat > 0:
        _check_lattice(shape, bilateral_sxy, bilateral_srgb)
        grey = image[0].astype(np.float32) * _GREY_LEVELS
        features = create_pairwise_bilateral(sdims=(bilateral_sxy,) * 2, schan=float(bilateral_srgb), img=grey)
        crf.addPairwiseEnergy(features, compat=float(bilateral_compat))
        del grey, features
    if gaussian_compat > 0:
        _check_lattice(shape, gaussian_sxy)
        features = create_pairwise_gaussian(sdims=(gaussian_sxy,) * 2, shape=shape)
        crf.addPairwiseEnergy(features, compat=float(gaussian_compat))
        del features
    return np.array(crf.inference(int(iterations)), order="C").reshape(probabilities.shape)
