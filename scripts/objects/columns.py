"""The columns of the tables: names, units, and how each number is estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["OBJECT_COLUMNS", "PROFILE_COLUMNS", "Column", "columns_markdown", "headers"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: without its unit.
        definition: what it is, and how it is estimated.
        bias: what is known of its error.
        power: of length: 1 for lengths, 2 for areas, 3 for volumes, 0 without unit.
        volumetric: whether the section thickness has to be known.
    """

    name: str
    definition: str
    bias: str = ""
    power: int = 0
    volumetric: bool = False

    def header(self, unit: str) -> str:
        """Name the column with its unit.

        Args:
            unit: of length, ``"um"`` or ``"px"``.

        Returns:
            For instance ``area_um2``.
        """
        return self.name + ("" if self.power == 0 else f"_{unit}{self.power if self.power > 1 else ''}")


PROFILE_COLUMNS = (
    Column("object", "number of the mitochondrion, as in the instances and in mitochondria.csv"),
    Column("section", "place of the section in the complete stack, from 0"),
    Column("file", "file of the mask"),
    Column("page", "page of the file, from 0"),
    Column("area", "pixels times the area of a pixel", "none", 2),
    Column(
        "perimeter",
        "length of the outline: the mask smoothed by a Gaussian of one pixel and cut at a half (marching squares)",
        "within 1 % from 20 pixels across; smaller profiles are up to 5 % too long",
        1,
    ),
    Column("circularity", "4 pi area / perimeter², 1 for a circle", "as twice the perimeter's"),
    Column("form_factor", "perimeter² / (4 pi area), 1 / circularity", "as twice the perimeter's"),
    Column("aspect_ratio", "longer over shorter axis of the ellipse with the same second moments"),
    Column("feret_max", "largest distance of two points of the outline", "at most a pixel too short", 1),
    Column("feret_min", "smallest distance of two parallel tangents", "at most a pixel too short", 1),
    Column("orientation", "of the longer axis, degrees from x (to the right) to y (downwards), 0 to 180"),
    Column("solidity", "area over the area of the convex hull of the outline"),
    Column("mean_grey", "mean grey level of the section within the profile, as in its file; empty without sections"),
    Column("centroid_x", "from the left edge of the picture", "none", 1),
    Column("centroid_y", "from the upper edge of the picture", "none", 1),
    Column("touches_border", "1 if the border of the picture, or of the tissue, cuts the profile"),
    Column(
        "nearest_neighbour",
        "from the centroid to the nearest other centroid of the section",
        "too long near the border, where the nearest may lie outside",
        1,
    ),
)

OBJECT_COLUMNS = (
    Column("object", "number of the mitochondrion, as in the instances"),
    Column("sections", "sections that show it"),
    Column("profiles", "outlines in all sections; more than sections where it branches"),
    Column("first_section", "place of its first section in the complete stack, from 0"),
    Column("last_section", "place of its last section"),
    Column(
        "volume",
        "sum of areas times section thickness (Cavalieri); half of it more beside a missing section that is bridged",
        "none on average; single objects that few sections show scatter",
        3,
        True,
    ),
    Column(
        "surface",
        "from section to section the root of (mean perimeter times distance)² + (area that one of both shows)², which "
        "is exact for cones, and caps where pieces end",
        "spheres -1 to -2 %, tubes and branches -4 % on average over rotations (5 x 5 x 50 nm); spheres that "
        "two sections show -8 %, one alone more: sphericity and complexity_index need four or more",
        2,
        True,
    ),
    Column(
        "length",
        "longest path through its middle, from end to end (TEASAR on voxels of half a thickness)",
        "tubes +2 %, branched -2 %, spheres +7 to +9 % (5 x 5 x 50 nm)",
        1,
        True,
    ),
    Column("total_length", "that path and all branches", "branched +1 %; tubes as length", 1, True),
    Column("branch_points", "places where a branch leaves that is longer than the object is wide there", "", 0, True),
    Column("sphericity", "surface of the sphere of the same volume over the surface", "as the surface's", 0, True),
    Column(
        "complexity_index",
        "surface³ / (16 pi² volume²) (Vincent et al. 2019); 0.72 for a sphere",
        "three times that of the surface",
        0,
        True,
    ),
    Column("largest_area", "of its profiles, summed within a section", "none", 2),
    Column("cut_by_border", "1 if the border of the picture, or of the tissue, cuts it: no sizes are to be had"),
    Column(
        "cut_by_ends",
        "1 if the first or the last section shows it, or one beside more missing sections than are bridged (max_gap): "
        "no sizes are to be had",
    ),
    Column("score", "mean probability of its pixels; empty where masks were read"),
)


def columns_markdown(unit: str) -> str:
    """Say what each column is.

    Args:
        unit: of length, ``"um"`` or ``"px"``.

    Returns:
        Markdown, a table for each file.
    """
    parts = ["# Columns of the tables"]
    for file, columns in (("profiles.csv", PROFILE_COLUMNS), ("mitochondria.csv", OBJECT_COLUMNS)):
        parts += [f"\n## {file}\n", "| column | what it is | known bias |", "| --- | --- | --- |"]
        parts += [f"| `{c.header(unit)}` | {c.definition} | {c.bias} |" for c in columns]
    parts.append(
        "\nSizes of objects that are cut (`cut_by_border`, `cut_by_ends`) are those of the visible part: leave them "
        "out of means. Counts do not leave them out: `summary.json` has the densities, without bias."
    )
    return "\n".join(parts) + "\n"


def headers(columns: Sequence[Column], unit: str) -> list[str]:
    """Name columns with their units.

    Args:
        columns: of a table.
        unit: of length, ``"um"`` or ``"px"``.

    Returns:
        The first line of the table.
    """
    return [column.header(unit) for column in columns]
