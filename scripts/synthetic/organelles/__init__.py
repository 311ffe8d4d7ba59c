"""All that is in cells and is no mitochondrion: what a network has to learn to leave alone.

Each function draws one kind of structure over the canvas. Lengths are in nm, grey levels from 0 to 255.
"""

from .bodies import draw_dense_body, draw_droplet, draw_granule, draw_multivesicular_body, draw_vacuole
from .grains import draw_collagen, draw_glycogen
from .membranes import (
    draw_endoplasmic_reticulum,
    draw_golgi,
    draw_microtubules,
    draw_synapses,
    draw_vesicles,
    inside_run,
    vesicle_cloud,
)
from .myelin import draw_myelin_debris, draw_myelinated_axon
from .nuclei import big_blob, draw_nucleus
from .palette import Palette
from .vessels import draw_erythrocyte, draw_vessel

__all__ = [
    "Palette",
    "big_blob",
    "draw_collagen",
    "draw_dense_body",
    "draw_droplet",
    "draw_endoplasmic_reticulum",
    "draw_erythrocyte",
    "draw_glycogen",
    "draw_golgi",
    "draw_granule",
    "draw_microtubules",
    "draw_multivesicular_body",
    "draw_myelin_debris",
    "draw_myelinated_axon",
    "draw_nucleus",
    "draw_synapses",
    "draw_vacuole",
    "draw_vesicles",
    "draw_vessel",
    "inside_run",
    "vesicle_cloud",
]
