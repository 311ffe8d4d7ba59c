"""Registration of serial sections: SIFT features, and moving least squares that respect folds."""

from .block_matching import match_patches
from .drift import remove_drift
from .features import SIFTFeatures, match_descriptors
from .folds import FoldDetector
from .masks import background_mask, is_noise
from .moving_least_squares import MovingLeastSquares
from .pairwise import Neighbour, PairRegistration, Registration, RegistrationError
from .pixel_types import centred
from .qc import qc_panel
from .quality import Quality
from .ransac import sequential_ransac
from .transformation import Transformation, affine_between
from .warping import INTERPOLATIONS, warp, warp_inverse

__all__ = [
    "INTERPOLATIONS",
    "FoldDetector",
    "MovingLeastSquares",
    "Neighbour",
    "PairRegistration",
    "Quality",
    "Registration",
    "RegistrationError",
    "SIFTFeatures",
    "Transformation",
    "affine_between",
    "background_mask",
    "centred",
    "is_noise",
    "match_descriptors",
    "match_patches",
    "qc_panel",
    "remove_drift",
    "sequential_ransac",
    "warp",
    "warp_inverse",
]
