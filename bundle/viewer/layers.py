"""The layers of a stack in napari."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
from napari import Viewer
from napari.layers import Image, Labels, Shapes
from napari.utils.colormaps import DirectLabelColormap

from scripts.io import Section, read_section

from .project import Project
from .regions import Region, outline

__all__ = ["add_image", "add_labels", "add_regions", "lazy_stack", "regions_of", "scale_of", "space_of"]

COLOUR = "#009e73"
"""Of mitochondria."""
COLOURS = {False: "#e69f00", True: "#56b4e9"}
"""Of reviewed regions: to learn from, and held out; told apart by the colour-blind too."""


def lazy_stack(sections: Sequence[Section]) -> da.Array:
    """Make an array of a stack whose sections are read when they are looked at.

    Args:
        sections: of one size.

    Returns:
        (sections, height, width).
    """
    shape = sections[0].height, sections[0].width
    dtype = np.result_type(*{section.dtype for section in sections})
    read = dask.delayed(lambda section: read_section(section).T.astype(dtype, copy=False), pure=False)
    return da.stack([da.from_delayed(read(section), shape, dtype) for section in sections])


def space_of(project: Project) -> dict[str, Any]:
    """Give scale and units of layers."""
    return {"scale": scale_of(project), "units": ("pixel" if project.pixel_size is None else "nm",) * 3}


def scale_of(project: Project) -> tuple[float, float, float]:
    """Give the size of a voxel in nanometres, or 1 where no pixel size is known."""
    if project.pixel_size is None:
        return (1.0, 1.0, 1.0)
    x, y = project.pixel_size
    return (project.thickness or y, y, x)


def add_image(viewer: Viewer, project: Project) -> Image:
    """Show the sections."""
    first = read_section(project.sections[0])
    low, high = (float(value) for value in np.quantile(first[::4, ::4], [0.001, 0.999]))
    return viewer.add_image(
        lazy_stack(project.sections),
        name="sections",
        **space_of(project),
        contrast_limits=(low, max(high, low + 1e-6)),
        colormap="gray",
    )


def add_labels(viewer: Viewer, project: Project) -> Labels:
    """Show the labels, to be painted on; what is painted is on disk."""
    layer = viewer.add_labels(project.labels, name="mitochondria", **space_of(project), opacity=0.5)
    layer.colormap = DirectLabelColormap(color_dict={None: "transparent", 1: COLOUR})
    layer.n_edit_dimensions = 2
    layer.brush_size = 10
    return layer


def add_regions(viewer: Viewer, project: Project) -> Shapes:
    """Show the reviewed regions, to be drawn."""
    regions = project.regions
    corners = [np.array([(region.section, *corner) for corner in region.corners]) for region in regions]
    layer = viewer.add_shapes(
        corners or None,
        ndim=3,
        shape_type="polygon",
        name="reviewed regions",
        **space_of(project),
        face_color="transparent",
        edge_color=[COLOURS[bool(region.held_out)] for region in regions] or COLOURS[False],
        edge_width=max(1, round(project.shape[1] / 250)),
        features={"held_out": [bool(region.held_out) for region in regions]},
    )
    layer.feature_defaults["held_out"] = None
    return layer


def regions_of(layer: Shapes) -> list[Region]:
    """Read the regions of the layer: whether they are held out is None for new ones. Lines and paths are refused."""
    held = layer.features["held_out"] if "held_out" in layer.features else [None] * len(layer.data)
    regions = []
    for drawn, shape, out in zip(layer.data, layer.shape_type, held, strict=True):
        corners = outline(drawn, shape)
        section = round(float(np.median(corners[:, 0])))
        kept = None if out is None or out != out else bool(out)
        regions.append(Region(section, tuple((round(float(y), 3), round(float(x), 3)) for _, y, x in corners), kept))
    return regions
