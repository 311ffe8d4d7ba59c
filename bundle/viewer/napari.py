"""The command."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari import Viewer

__all__ = ["napari", "open_viewer"]


def napari(
    sections: str,
    pixel_size: float | list[float] | None = None,
    section_thickness: float | None = None,
    channel: int | None = None,
    output_dir: str | None = None,
) -> None:
    """Open sections in napari: segment, correct, teach, measure.

    What a person does is kept beside the sections as it is done: labels, reviewed regions, weights that were taught,
    tables. The shipped weights are only read.

    Args:
        sections: folder, pattern in quotes, stack, or OME-Zarr volume; of one size.
        pixel_size: of the sections in nanometres, a number or [x, y]; kept for later.
        section_thickness: distance of two sections in nanometres; kept for later.
        channel: which to read where files have several, from 0.
        output_dir: folder of all that is kept; `<sections>_napari` by default.

    Raises:
        OSError: napari is not installed in this environment.
    """
    if importlib.util.find_spec("napari") is None or importlib.util.find_spec("qtpy") is None:
        raise OSError("napari is not installed here; `make napari` makes an environment for it")
    import napari as library

    open_viewer(sections, pixel_size, section_thickness, channel, output_dir)
    library.run()


def open_viewer(
    sections: str,
    pixel_size: float | list[float] | None = None,
    section_thickness: float | None = None,
    channel: int | None = None,
    output_dir: str | None = None,
) -> Viewer:
    """Open the window; what stands in the way is said in it.

    Args:
        sections: see `napari`.
        pixel_size: see `napari`.
        section_thickness: see `napari`.
        channel: see `napari`.
        output_dir: see `napari`.

    Returns:
        The viewer, with a panel docked to it, a `bundle.viewer.panel.Panel` or, in its place, a label that says what is
        wrong.
    """
    from napari import Viewer
    from qtpy.QtWidgets import QLabel

    from .panel import Panel
    from .project import Project

    viewer = Viewer(title="mitochondria")
    try:
        project = Project(sections, output_dir, pixel_size, section_thickness, channel)
    except (OSError, ValueError) as error:
        text = QLabel(str(error), wordWrap=True)
        viewer.window.add_dock_widget(text, name="Mitochondria", area="right")
        return viewer
    viewer.window.add_dock_widget(Panel(viewer, project), name="Mitochondria", area="right")
    return viewer
