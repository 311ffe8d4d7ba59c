"""Registration of serial sections: SIFT features, and moving least squares that respect folds."""

from .drift import remove_drift
from .features import SIFTFeatures
from .folds import FoldFinder
from .moving_least_squares import MovingLeastSquares
from .pairs import Neighbour, PairRegistration, Registration, RegistrationError, missing_tissue
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
    "missing_tissue",
    "pair_picture",
    "remove_drift",
    "to_aligned",
    "to_section",
]
