"""Dictionary transforms that MONAI lacks."""

from .crf import DenseCRFd
from .crop import CropRegiond, RandGridCropd
from .equalize import EqualizeSectiond
from .layout import FileLayoutd
from .load import BinarizeLabeld, LoadSectiond
from .save import SaveSectiond

__all__ = [
    "BinarizeLabeld",
    "CropRegiond",
    "DenseCRFd",
    "EqualizeSectiond",
    "FileLayoutd",
    "LoadSectiond",
    "RandGridCropd",
    "SaveSectiond",
]
