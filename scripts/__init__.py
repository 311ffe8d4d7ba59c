"""The parts that the configs name. MONAI Label unloads exactly this package between bundles."""

from . import crf, data, handlers, inferers, networks, settings, transforms

__all__ = ["crf", "data", "handlers", "inferers", "networks", "settings", "transforms"]
