"""The parts that the configs name. MONAI Label unloads exactly this package between bundles."""

from . import alignment, crf, data, handlers, inferers, networks, registration, settings, transforms

__all__ = [
    "alignment",
    "crf",
    "data",
    "handlers",
    "inferers",
    "networks",
    "registration",
    "settings",
    "transforms",
]
