"""Parameters of a section, drawn at random: stain, cells and mitochondria by kind of tissue."""

from __future__ import annotations

import numpy as np

from .mitochondria import KINDS_OF_CRISTAE, Cristae, MitochondriaStyle
from .organelles import Palette
from .tissue import CellField

__all__ = ["KINDS", "random_cells", "random_mitochondria", "random_palette"]

# share of each kind of tissue among the sections
KINDS: dict[str, float] = {
    "neuropil": 0.46,
    "muscle": 0.12,
    "liver": 0.12,
    "cultured_cell": 0.10,
    "blood": 0.05,
    "nerve": 0.07,
    "random": 0.08,
}


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_palette(rng: np.random.Generator) -> Palette:
    """Draw the stain of a section: membranes are always darker than the cytoplasm."""
    cytoplasm = rng.uniform(120, 215)
    membrane = rng.uniform(10, 0.5 * cytoplasm)
    dense = rng.uniform(5, max(20, 0.8 * membrane))
    span = cytoplasm - membrane
    outside = min(cytoplasm + rng.uniform(0.05, 0.7) * span, 248)
    return Palette(
        outside=float(outside),
        cytoplasm=float(cytoplasm),
        membrane=float(membrane),
        width=float(rng.uniform(6, 14)),
        lumen=float(min(cytoplasm + rng.uniform(-0.15, 0.5) * span, 248)),
        protein=float(membrane + rng.uniform(0.1, 0.8) * span),
        dense=float(dense),
        lipid=float(rng.choice([rng.uniform(170, 250), rng.uniform(10, 80), rng.uniform(80, 170)])),
        chromatin=float(membrane + rng.uniform(0.0, 0.6) * span),
        nucleoplasm=float(cytoplasm + rng.uniform(-0.25, 0.2) * span),
        myelin=float(max(8, membrane + rng.uniform(-0.3, 0.65) * span)),
    )


def random_cells(rng: np.random.Generator, palette: Palette, kind: str) -> CellField:
    """Draw the parameters of a field of cells."""
    large = kind in ("liver", "cultured_cell")
    spacing = log_uniform(rng, 1500, 6000) if large else log_uniform(rng, 200, 1000)
    gap = 0.0 if rng.random() < 0.65 else log_uniform(rng, 6, 32)
    span = palette.cytoplasm - palette.membrane
    return CellField(
        spacing=spacing,
        group=spacing * log_uniform(rng, 2.0, 6.0),
        grouped=float(rng.uniform(0.2, 0.8)),
        ragged=bool(rng.random() < 0.35),
        stretch=1.0 if rng.random() < 0.5 else log_uniform(rng, 1.0, 4.0),
        direction=float(rng.uniform(0, np.pi)),
        warp=log_uniform(rng, 20, 140),
        wrinkles=log_uniform(rng, 1, 14),
        rounding=float(np.clip(log_uniform(rng, 18, 70), 16, 0.16 * spacing)),
        gap=gap,
        outside=0.0 if rng.random() < 0.75 else float(rng.uniform(0.01, 0.25)),
        dark=0.0 if rng.random() < 0.4 else float(rng.uniform(0.02, 0.2)),
        cytoplasm=palette.cytoplasm,
        variation=float(rng.uniform(0, 0.14)) * span,
        dark_level=float(palette.membrane + rng.uniform(0.15, 0.7) * span),
        outside_level=palette.outside,
        gap_level=float(min(palette.outside, palette.cytoplasm + rng.uniform(-0.5, 0.1) * span)),
        corner=float(rng.uniform(0.25, 0.6)) if rng.random() < 0.7 else 0.0,
        membrane=palette.membrane,
        width=palette.width,
        fuzziness=0.0 if rng.random() < 0.2 else float(rng.uniform(0.05, 0.7)),
        unevenness=float(rng.uniform(0, 0.7)),
    )


# by kind: range of the radius in nm, of the elongation, shares of long ones
SIZES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "neuropil": ((90, 280), (1.1, 4.5), (0.0, 0.4)),
    "muscle": ((180, 600), (1.0, 2.5), (0.0, 0.05)),
    "liver": ((180, 600), (1.0, 1.8), (0.0, 0.1)),
    "cultured_cell": ((80, 240), (1.3, 5.0), (0.1, 0.8)),
    "blood": ((80, 180), (1.0, 1.8), (0.0, 0.05)),
    "nerve": ((80, 200), (1.0, 2.2), (0.0, 0.1)),
    "random": ((80, 600), (1.0, 5.0), (0.0, 0.6)),
}


# share of each kind of cristae among the sections
CRISTAE: dict[Cristae, float] = {
    "none": 0.14,
    "transverse": 0.26,
    "longitudinal": 0.12,
    "tubular": 0.14,
    "fingerprint": 0.14,
    "labyrinth": 0.05,
    "septa": 0.15,
}


def _random_matrix(rng: np.random.Generator, palette: Palette, kind: str) -> float:
    """Draw the grey level of the matrix."""
    if kind in ("neuropil", "nerve") and rng.random() < 0.75:  # as most of them are: darker than the cell around them
        return palette.membrane + rng.uniform(0.08, 0.5) * (palette.cytoplasm - palette.membrane)
    place = rng.random()
    if place < 0.05:  # paler than the cytoplasm
        return palette.cytoplasm + rng.uniform(0.0, 0.35) * (250 - palette.cytoplasm)
    if place < 0.2:  # as dark as membranes, or darker
        return palette.membrane * rng.uniform(0.6, 1.2)
    return palette.membrane + rng.uniform(0.08, 0.75) * (palette.cytoplasm - palette.membrane)


def _random_cristae(rng: np.random.Generator, kind: str) -> Cristae:
    """Draw the kind of cristae for a kind of tissue."""
    weights = CRISTAE
    if kind == "blood":  # cristae alone tell them from granules
        weights = CRISTAE | {"none": 0.0, "transverse": 0.4}
    return KINDS_OF_CRISTAE[rng.choice(len(KINDS_OF_CRISTAE), p=[weights[k] for k in KINDS_OF_CRISTAE])]


def random_mitochondria(rng: np.random.Generator, palette: Palette, kind: str) -> MitochondriaStyle:
    """Draw how the mitochondria of a section look."""
    radius, elongation, long = SIZES[kind]
    span = palette.cytoplasm - palette.membrane
    matrix = _random_matrix(rng, palette, kind)
    cristae = _random_cristae(rng, kind)
    if cristae == "none":  # even and black are lysosomes and myelin
        matrix = max(matrix, palette.membrane + 0.08 * span)
    depth = matrix - palette.membrane
    period = log_uniform(rng, 32, 110)
    dark_cristae = depth > 25
    faint = kind != "blood" and rng.random() < 0.25  # hardly seen, as in blocks that are imaged by scanning
    if dark_cristae:
        low, high = (0.7, 0.97) if faint else (0.0, 0.5 if kind == "blood" else 0.75)
        crista_level = palette.membrane + rng.uniform(low, high) * depth
        lumen = 0.0 if rng.random() < 0.6 else float(rng.random())
    else:  # in a dark matrix cristae are pale
        crista_level = matrix + rng.uniform(0.25, 0.8) * (palette.lumen - matrix)
        lumen = 0.0 if rng.random() < 0.5 else float(rng.random())
    hidden = abs(matrix - palette.cytoplasm) < 0.25 * span  # then the outline has to be seen
    intermembrane = 0.0 if rng.random() < 0.5 else float(rng.uniform(5, 16))
    return MitochondriaStyle(
        radius=log_uniform(rng, *radius),
        spread=float(rng.uniform(0.1, 0.45)),
        elongation=log_uniform(rng, *elongation),
        long=float(rng.uniform(*long)),
        branched=float(rng.uniform(0, 0.5)),
        clustered=0.0 if rng.random() < 0.5 else float(rng.uniform(0.05, 0.5)),
        donut=0.0 if rng.random() < 0.7 else float(rng.uniform(0, 0.12)),
        swollen=0.0 if rng.random() < 0.8 else float(rng.uniform(0.05, 0.6)),
        wobble=float(rng.uniform(0.005, 0.07)),
        matrix=float(matrix),
        matrix_variation=float(rng.uniform(0, 0.1) * span),
        membrane=float(palette.membrane * rng.uniform(0.8, 1.15)),
        membrane_width=float(palette.width * rng.uniform(0.75, 1.1)),
        intermembrane=intermembrane,
        intermembrane_level=float(matrix + rng.uniform(0.3, 1.0) * (palette.lumen - matrix)),
        outer_contrast=float(np.clip(rng.uniform(0.6 if hidden else -0.2, 1.3), 0, 1)),
        halo=0.0 if rng.random() < 0.75 else float(rng.uniform(8, 40)),
        halo_level=float(palette.cytoplasm + 0.5 * (palette.outside - palette.cytoplasm)),
        cristae=cristae,
        mixed=0.0 if rng.random() < 0.5 else float(rng.uniform(0, 0.3)),
        fuzzy=float(rng.uniform(0, 0.6)),
        period=period,
        crista_width=float(rng.uniform(0.25, 0.6) * min(period, 60)),
        crista_level=float(crista_level),
        lumen=lumen,
        lumen_level=float(matrix + rng.uniform(0.4, 1.0) * (palette.lumen - matrix)),
        irregular=float(rng.uniform(0.08, 0.5)),
        bend=float(rng.uniform(0, 1.2)),
        reach=float(rng.uniform(0.1, 1)),
        granules=0.0 if rng.random() < 0.7 else float(rng.uniform(2, 40)),
        grain=float(rng.uniform(0, 0.45)),
    )
