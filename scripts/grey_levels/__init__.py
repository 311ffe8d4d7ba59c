"""Grey levels of real sections: where a section shows tissue, its equalisation there, and what to put elsewhere.

Sections come with hot pixels, dead rows, margins that stitching and registration leave, and wide empty resin. None of
these may decide on the grey levels of the tissue, and none is tissue.
"""

from .equalisation import METHODS, TransferFunction, check_clip, equalize, stretch
from .filling import Read, Window, fill_outside
from .ranges import CLIP
from .section import SectionLevels
from .tissue import tissue_mask

__all__ = [
    "CLIP",
    "METHODS",
    "Read",
    "SectionLevels",
    "TransferFunction",
    "Window",
    "check_clip",
    "equalize",
    "fill_outside",
    "stretch",
    "tissue_mask",
]
