"""The parts that the configs name. MONAI Label unloads exactly this package between bundles."""

# `registration` and `stack` are imported by the configs that need them: segmentation works without OpenCV
from . import crf, data, grey_levels, handlers, inference, networks, settings, transforms

__all__ = ["crf", "data", "grey_levels", "handlers", "inference", "networks", "settings", "transforms"]
