"""Objects: mitochondria that are told apart, followed through the stack, counted and measured. Arrays only.

Sections are (height, width), stacks (section, height, width): the order of scikit-image and TIFF.
"""

from .continuity import agreement, smooth_through, supported
from .counting import Frame, count_objects, count_profiles
from .linking import Linker, Overlaps, join, overlaps
from .numbers import count_pixels, renumber
from .profiles import PROFILE_MEASURES, Profiles, measure_profiles, nearest_neighbours
from .scores import ObjectScores
from .separation import separate
from .skeleton import Skeleton, skeletonize
from .solids import complexity_index, ends, heights, sphericity, surfaces, volumes

__all__ = [
    "PROFILE_MEASURES",
    "Frame",
    "Linker",
    "ObjectScores",
    "Overlaps",
    "Profiles",
    "Skeleton",
    "agreement",
    "complexity_index",
    "count_objects",
    "count_pixels",
    "count_profiles",
    "ends",
    "heights",
    "join",
    "measure_profiles",
    "nearest_neighbours",
    "overlaps",
    "renumber",
    "separate",
    "skeletonize",
    "smooth_through",
    "sphericity",
    "supported",
    "surfaces",
    "volumes",
]
