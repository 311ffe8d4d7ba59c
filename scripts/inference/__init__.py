"""Networks applied to whole sections."""

from .fuse import fuse_conv_bn
from .inferers import ProbabilityInferer, SectionInferer, SimpleInferer, SlidingWindowInferer
from .pixel_size import PixelSizeEstimate, PixelSizeEstimator, candidate_pixel_sizes
from .uncertainty import PatchUncertainty, dropout_uncertainty, mean_uncertainty, patch_uncertainties
from .windows import score_window

__all__ = [
    "PatchUncertainty",
    "PixelSizeEstimate",
    "PixelSizeEstimator",
    "ProbabilityInferer",
    "SectionInferer",
    "SimpleInferer",
    "SlidingWindowInferer",
    "candidate_pixel_sizes",
    "dropout_uncertainty",
    "fuse_conv_bn",
    "mean_uncertainty",
    "patch_uncertainties",
    "score_window",
]
