"""Ignite handlers that MONAI lacks."""

from .checkpoint import EarlyStop, LoadWeights, TrainingCheckpoint, load_weights
from .folding import FoldBatchNorm
from .pictures import SectionPanels, overlay, save_picture
from .progress import DataWait, LossProgressBar
from .report import JaccardReport, jaccard
from .seeding import EpochSeed

__all__ = [
    "DataWait",
    "EarlyStop",
    "EpochSeed",
    "FoldBatchNorm",
    "JaccardReport",
    "LoadWeights",
    "LossProgressBar",
    "SectionPanels",
    "TrainingCheckpoint",
    "jaccard",
    "load_weights",
    "overlay",
    "save_picture",
]
