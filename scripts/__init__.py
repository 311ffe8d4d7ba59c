"""The parts that the configs name. MONAI Label unloads exactly this package between bundles."""

# `registration` and `stack` are imported by the configs that need them: segmentation works without OpenCV
from . import config, crf, grey_levels, handlers, inference, io, networks, transforms, weights

__all__ = ["config", "crf", "grey_levels", "handlers", "inference", "io", "networks", "transforms", "weights"]
