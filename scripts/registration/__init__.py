"""Registration of serial sections: SIFT features, and moving least squares that respect folds."""

from .consensus import find_models
from .drift import remove_drift
from .features import SIFTFeatures, seed_matches
from .folds import FoldFinder
from .moving_least_squares import MovingLeastSquares
from .pairs import Neighbour, PairRegistration, Registration, RegistrationError, missing_tissue
from .patches import match_patches
from .pictures import pair_picture
from .transformation import Transformation, affine_between
from .warping import INTERPOLATIONS, to_aligned, to_section

__all__ = [
    "INTERPOLATIONS",
    "FoldFinder",
    "MovingLeastSquares",
    "Neighbour",
    "PairRegistration",
    "Registration",
    "RegistrationError",
    "SIFTFeatures",
    "Transformation",
    "affine_between",
    "find_models",
    "match_patches",
    "missing_tissue",
    "pair_picture",
    "remove_drift",
    "seed_matches",
    "to_aligned",
    "to_section",
]
