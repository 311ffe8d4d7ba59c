"""Ignite handlers that MONAI lacks."""

from .averaging import WeightAverage
from .checkpoint import TrainingCheckpoint
from .early_stop import EarlyStop
from .loading import LoadWeights, load_weights
from .panels import SectionPanels
from .progress import DataWait, LossProgressBar
from .publishing import PublishWeights
from .report import JaccardReport
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
    "load_weights",
]
