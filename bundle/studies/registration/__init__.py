"""What the registration recovers: of known deformations, on a real fold, along a real stack, for segmentation."""

from .evaluate import evaluate_registration

__all__ = ["evaluate_registration"]
