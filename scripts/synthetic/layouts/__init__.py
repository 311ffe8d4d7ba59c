"""Kinds of tissue: which structures there are, how many, and where.

Each layout draws one section on a canvas. Numbers are for a square micrometre where they are densities.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..canvas import Canvas
from ..mitochondria import MitochondriaStyle
from ..organelles import Palette
from .anything import anything
from .blood import blood
from .cultured_cell import cultured_cell
from .liver import liver
from .muscle import muscle
from .nerve import nerve
from .neuropil import neuropil

__all__ = ["LAYOUTS", "Layout"]

Layout = Callable[[Canvas, np.random.Generator, Palette, MitochondriaStyle], dict[str, float]]

LAYOUTS: dict[str, Layout] = {
    "neuropil": neuropil,
    "muscle": muscle,
    "liver": liver,
    "cultured_cell": cultured_cell,
    "blood": blood,
    "nerve": nerve,
    "random": anything,
}
