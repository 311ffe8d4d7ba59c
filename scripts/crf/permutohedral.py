"""Mean field by the permutohedral lattice, on the CPU: the library that the paper's method means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_MAX_INT16 = 2**15 - 1  # the library's lattice coordinates
_MAX_INT32 = 2**31 - 1  # the library's array indices


def mean_field(
    probabilities: np.ndarray,
    image: np.ndarray,
    *,
    gaussian_sxy: float,
    gaussian_compat: float,
    bilateral_sxy: float,
    bilateral_srgb: float,
    bilateral_compat: float,
    iterations: int,
) -> np.ndarray:
    """Infer the marginals of the CRF by pydensecrf2.

    Args:
        probabilities: (C, W, H), floating point, of a size that :func:`check_size` lets pass.
        image: (1, W, H), floating point.
        gaussian_sxy: width of the smoothness kernel, in pixels.
        gaussian_compat: its weight.
        bilateral_sxy: width of the appearance kernel in pixels.
        bilateral_srgb: its width in grey levels of 255.
        bilateral_compat: its weight.
        iterations: number of iterations.

    Returns:
        (C, W, H) float32, the marginals.
    """
    from pydensecrf.densecrf import DenseCRF
    from pydensecrf.utils import create_pairwise_bilateral, create_pairwise_gaussian, unary_from_softmax

    classes, width, height = probabilities.shape
    # Not DenseCRF2D: here position is a feature like any other, and no order of width and height can be mistaken.
    crf = DenseCRF(width * height, classes)
    # Temporaries are not named, so that they are gone before the inference, where memory peaks.
    crf.setUnaryEnergy(unary_from_softmax(np.ascontiguousarray(probabilities, dtype=np.float32)))
    if bilateral_compat > 0:
        grey = np.ascontiguousarray(image[0], dtype=np.float32) * 255
        crf.addPairwiseEnergy(
            create_pairwise_bilateral(sdims=[bilateral_sxy] * 2, schan=bilateral_srgb, img=grey),
            compat=bilateral_compat,
        )
        del grey
    if gaussian_compat > 0:
        crf.addPairwiseEnergy(
            create_pairwise_gaussian(sdims=[gaussian_sxy] * 2, shape=(width, height)), compat=gaussian_compat
        )
    return np.array(crf.inference(iterations), order="C").reshape(probabilities.shape)


def check_size(
    shape: Sequence[int],
    *,
    gaussian_sxy: float,
    gaussian_compat: float,
    bilateral_sxy: float,
    bilateral_srgb: float,
    bilateral_compat: float,
) -> None:
    """Check what the library does not: it crashes the process or silently returns something else.

    Args:
        shape: of the probabilities, (C, W, H).
        gaussian_sxy: this and the following as in :func:`mean_field`.
        gaussian_compat: weight of the smoothness kernel.
        bilateral_sxy: width of the appearance kernel in pixels.
        bilateral_srgb: its width in grey levels of 255.
        bilateral_compat: its weight.

    Raises:
        ValueError: if the section is too large for the integers of the library, or widths are too small beside it.
    """
    classes, width, height = shape
    # A pixel has up to four lattice vertices (and, with many classes, as many values) in one array.
    if max(4, classes) * (width * height + 16) > _MAX_INT32:
        raise ValueError(
            f"probabilities of shape {tuple(shape)} have more values than the 32-bit indices of pydensecrf reach"
        )
    if bilateral_compat > 0:
        _check_lattice(
            [width / bilateral_sxy, height / bilateral_sxy, 255 / bilateral_srgb],
            f"bilateral_sxy {bilateral_sxy} and bilateral_srgb {bilateral_srgb}",
        )
    if gaussian_compat > 0:
        _check_lattice([width / gaussian_sxy, height / gaussian_sxy], f"gaussian_sxy {gaussian_sxy}")


def _check_lattice(extents: Sequence[float], widths: str) -> None:
    """Refuse features whose lattice coordinates overflow, given the extent of each feature in units of its width."""
    d = len(extents)
    # The lattice embeds features by an isometry times (d + 1) sqrt(2/3) into the plane of coordinates that sum to 0,
    # where one coordinate is at most sqrt(d / (d + 1)) of the length. Rounding and blurring add up to 2 (d + 1).
    # Coordinates that wrap around join pixels from far apart: at sxy 0.3, pixels 19661 columns away.
    if math.sqrt(2 * d * (d + 1) / 3) * math.hypot(*extents) + 2 * (d + 1) > _MAX_INT16:
        raise ValueError(f"{widths} are too small for a section of this size: 16-bit lattice coordinates overflow")
