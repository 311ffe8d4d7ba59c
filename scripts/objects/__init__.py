"""Analysis of the objects of a stack: files in, numbers, tables and a report out, over `scripts.instances`."""

from .analysis import ObjectAnalysis
from .columns import OBJECT_COLUMNS, PROFILE_COLUMNS, Column, columns_markdown
from .gathering import Gathering
from .stack import MaskStack

__all__ = [
    "OBJECT_COLUMNS",
    "PROFILE_COLUMNS",
    "Column",
    "Gathering",
    "MaskStack",
    "ObjectAnalysis",
    "columns_markdown",
]
