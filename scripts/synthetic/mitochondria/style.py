"""How mitochondria look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["KINDS_OF_CRISTAE", "Cristae", "MitochondriaStyle"]

Cristae = Literal["none", "transverse", "longitudinal", "tubular", "fingerprint", "labyrinth", "septa"]


KINDS_OF_CRISTAE: tuple[Cristae, ...] = (
    "none",
    "transverse",
    "longitudinal",
    "tubular",
    "fingerprint",
    "labyrinth",
    "septa",
)


@dataclass
class MitochondriaStyle:
    """How the mitochondria of a section look. Lengths in nm, grey levels from 0 to 255, shares from 0 to 1.

    Args:
        radius: median of the radius, or half the width of long ones.
        spread: standard deviation of its logarithm.
        elongation: median of length by width.
        long: share of long, thin ones.
        branched: share of the long ones that branch.
        clustered: share that has others close beside it.
        donut: share of rings (and cups).
        swollen: share of swollen ones: pale, with few cristae at the rim.
        wobble: irregularity of outlines.
        matrix: mean grey level.
        matrix_variation: its standard deviation between mitochondria.
        membrane: grey level of the membranes.
        membrane_width: of each of them.
        intermembrane: width of the space between outer and inner membrane; below 4 they are one line.
        intermembrane_level: its grey level.
        outer_contrast: how dark the outer membrane is: 0 not to be seen, 1 as dark as `membrane`.
        halo: width of a pale rim in the cytoplasm.
        halo_level: its grey level.
        cristae: the kind of cristae of most of them.
        mixed: share that has cristae of any other kind than none.
        fuzzy: share whose border is cut obliquely and is not sharp.
        period: from crista to crista.
        crista_width: of a crista with both of its membranes.
        crista_level: grey level of the membranes of cristae.
        lumen: whether cristae are wide enough to show a lumen: share that does.
        lumen_level: grey level of that lumen.
        irregular: standard deviation of the distance between cristae, as part of the period.
        bend: how much cristae are bent.
        reach: how far cristae reach from one side to the other.
        granules: dark granules of the matrix in a square micrometre.
        grain: strength of the texture of the matrix.
    """

    radius: float
    spread: float
    elongation: float
    long: float
    branched: float
    clustered: float
    donut: float
    swollen: float
    wobble: float
    matrix: float
    matrix_variation: float
    membrane: float
    membrane_width: float
    intermembrane: float
    intermembrane_level: float
    outer_contrast: float
    halo: float
    halo_level: float
    cristae: Cristae
    mixed: float
    fuzzy: float
    period: float
    crista_width: float
    crista_level: float
    lumen: float
    lumen_level: float
    irregular: float
    bend: float
    reach: float
    granules: float
    grain: float
