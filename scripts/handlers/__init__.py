"""Ignite handlers that MONAI lacks."""

from .averaging import WeightAverage
from .checkpoint import TrainingCheckpoint, lock_training, unlock_trainings
from .early_stopping import EarlyStopping
from .finite import RequireFinite
from .loading import LoadWeights, load_weights
from .objects import ObjectReport
from .panels import ValidationFigures
from .progress import DataLoadingTime, LossProgressBar
from .promotion import PromoteBestWeights
from .report import JaccardReport
from .seeding import EpochSeed

__all__ = [
    "DataLoadingTime",
    "EarlyStopping",
    "EpochSeed",
    "JaccardReport",
    "LoadWeights",
    "LossProgressBar",
    "ObjectReport",
    "PromoteBestWeights",
    "RequireFinite",
    "TrainingCheckpoint",
    "ValidationFigures",
    "WeightAverage",
    "load_weights",
    "lock_training",
    "unlock_trainings",
]
