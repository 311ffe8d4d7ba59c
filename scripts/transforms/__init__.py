"""Dictionary transforms that MONAI lacks."""

from .crf import DenseCRFd
from .crop import CropRegiond
from .dense_bodies import RandDenseBodiesd
from .equalize import EqualizeSectiond
from .histogram_shift import RandHistogramShiftd
from .layout import FileLayoutd
from .load import BinarizeLabeld, LeaveOutUnknownd, LoadSectiond
from .mask import MaskTissued
from .patch import RandPatchd
from .save import SaveSectiond

__all__ = [
    "BinarizeLabeld",
    "CropRegiond",
    "DenseCRFd",
    "EqualizeSectiond",
    "FileLayoutd",
    "LeaveOutUnknownd",
    "LoadSectiond",
    "MaskTissued",
    "RandDenseBodiesd",
    "RandHistogramShiftd",
    "RandPatchd",
    "SaveSectiond",
]
