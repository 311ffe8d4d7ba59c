"""Ignite handlers that MONAI lacks."""

from .averaging import WeightAverage
from .checkpoint import EarlyStop, LoadWeights, PublishWeights, TrainingCheckpoint, load_weights
from .pictures import SectionPanels, hide_outside, overlay, save_picture
from .progress import DataWait, LossProgressBar
from .report import JaccardReport, jaccard
from .seeding import EpochSeed

__all__ = [
    "DataWait",
    "EarlyStop",
    "EpochSeed",
    "JaccardReport",
    "LoadWeights",
    "LossProgressBar",
    "PublishWeights",
    "SectionPanels",
    "TrainingCheckpoint",
    "WeightAverage",
    "hide_outside",
    "jaccard",
    "load_weights",
    "overlay",
    "save_picture",
]
