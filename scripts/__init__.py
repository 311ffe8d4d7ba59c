"""The parts that the configs name. MONAI Label unloads exactly this package between bundles."""

# `alignment` and `registration` are imported by the configs that need them: segmentation works without OpenCV
from . import crf, grey_levels, handlers, inference, io, networks, settings, transforms

__all__ = ["crf", "grey_levels", "handlers", "inference", "io", "networks", "settings", "transforms"]
