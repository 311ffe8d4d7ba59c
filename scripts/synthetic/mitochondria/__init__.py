"""Mitochondria: their shapes, and how they are drawn."""

from .drawing import draw_mitochondrion
from .placing import mitochondrion_shape, place_mitochondria
from .style import KINDS_OF_CRISTAE, Cristae, MitochondriaStyle

__all__ = [
    "KINDS_OF_CRISTAE",
    "Cristae",
    "MitochondriaStyle",
    "draw_mitochondrion",
    "mitochondrion_shape",
    "place_mitochondria",
]
