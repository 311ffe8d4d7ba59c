"""The grey levels of a section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Palette", "Points", "jitter"]

Points = NDArray[np.floating]


@dataclass
class Palette:
    """Grey levels of a section, from 0 (black) to 255 (white): how it took the stain.

    Args:
        outside: empty resin and extracellular space.
        cytoplasm: mean of the cytoplasm.
        membrane: of membranes, darker than the cytoplasm.
        width: of membranes, in nm.
        lumen: inside of reticulum, vesicles and vacuoles.
        protein: of dense protein: granules, peroxisomes, erythrocytes.
        dense: of what takes most stain: ribosomes, glycogen, dense bodies.
        lipid: of lipid droplets.
        chromatin: of heterochromatin.
        nucleoplasm: of euchromatin.
        myelin: of myelin.
    """

    outside: float
    cytoplasm: float
    membrane: float
    width: float
    lumen: float
    protein: float
    dense: float
    lipid: float
    chromatin: float
    nucleoplasm: float
    myelin: float


def jitter(rng: np.random.Generator, level: float, deviation: float = 8.0) -> float:
    """Draw a grey level near another one, from 2 to 253."""
    return float(np.clip(rng.normal(level, deviation), 2, 253))
