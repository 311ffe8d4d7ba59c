"""Networks applied to whole sections."""

from .fuse import fuse_conv_bn
from .inferers import PixelSizeInferer, SectionInferer, SimpleInferer, SlidingWindowInferer
from .pixel_size import PixelSizeEstimate, PixelSizeEstimator, candidate_pixel_sizes
from .uncertainty import dropout_uncertainty

__all__ = [
    "PixelSizeEstimate",
    "PixelSizeEstimator",
    "PixelSizeInferer",
    "SectionInferer",
    "SimpleInferer",
    "SlidingWindowInferer",
    "candidate_pixel_sizes",
    "dropout_uncertainty",
    "fuse_conv_bn",
]
