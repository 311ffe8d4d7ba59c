"""The panel beside the picture: segment, correct, teach, measure, suggest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari import Viewer
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QFileDialog

from scripts.io import find_sections, read_section

from .form import Form
from .layers import COLOURS, add_image, add_labels, add_regions, lazy_stack, regions_of, scale_of, space_of
from .process import WorkerProcess
from .project import Project
from .table import read_places
from .teaching import Teaching

__all__ = ["Panel"]

SAVE_AFTER = 300
"""Milliseconds after the last change of a region."""


class Panel(Form):
    """What a person does with a stack; each step is a call of what the command line runs.

    Args:
        viewer: that the layers are added to.
        project: the stack.

    Attributes:
        process: that does what takes long.
        message: what the person is told.
    """

    def __init__(self, viewer: Viewer, project: Project) -> None:
        super().__init__()
        self.viewer, self.project = viewer, project
        self.process = WorkerProcess(project.folder / "log.txt")
        self.process.progressed.connect(self._progressed)
        self.process.finished.connect(self._finished)
        self.process.failed.connect(self._failed)
        self.image = add_image(viewer, project)
        self.labels = add_labels(viewer, project)
        self.regions = add_regions(viewer, project)
        viewer.canvas.overlays.scale_bar.visible = project.pixel_size is not None
        viewer.dims.axis_labels = ("section", "y", "x")
        viewer.dims.set_current_step(0, 0)
        self.objects: Any = None
        self._places: dict[int, tuple[int, float, float]] = {}
        self._then: Callable[[Any], None] = lambda result: None
        self.teaching: Teaching | None = None
        self._saving = QTimer(self, singleShot=True, interval=SAVE_AFTER)
        self._saving.timeout.connect(self.save_regions)
        self.regions.events.data.connect(lambda event: self._saving.start())
        self.thickness.setValue(project.thickness or 0)
        self.table.chosen.connect(self.go_to_object)
        groups = {
            "1 Segment": [[("This section", self.segment), ("All sections", self.segment_all)]],
            "2 Correct": [[("Brush", self.brush), ("Reviewed region", self.draw_region)]],
            "3 Teach": [
                [self.steps, self.minutes],
                [("Teach", self.teach)],
                [self.curve],
                [self.score],
                [("Use it", self.use), ("Throw it away", self.throw_away)],
            ],
            "4 Measure": [[self.thickness, ("Measure", self.measure), ("Export", self.export)], [self.table]],
            "5 Suggest": [[("Where is it least sure?", self.suggest)]],
        }
        self.build(groups, self.cancel)
        self._offer()
        # what napari itself meets, such as a stroke that the disk has no room for
        notification_manager.notification_ready.connect(self._notified)
        shut_down = partial(_shut_down, self.process, project)
        self.destroyed.connect(shut_down)
        QApplication.instance().aboutToQuit.connect(shut_down)
        self.say(f"{project.shape[0]} sections. What you do here is kept in {project.folder}")

    # 1 segment

    def segment(self) -> None:
        """Segment the section that is shown."""
        self._segment([self.section])

    def segment_all(self) -> None:
        """Segment all sections."""
        self._segment(range(self.project.shape[0]))

    @property
    def section(self) -> int:
        """Number of the section that is shown."""
        return int(self.viewer.dims.current_step[0])

    def _segment(self, indices: Any) -> None:
        self._keep_regions()  # or stop: corrections outside of those that are kept are written over
        folder = self.project.folder / "segmented"
        shutil.rmtree(folder, ignore_errors=True)
        arguments = {"source": self.project.source, "folder": str(folder), "settings": self._settings()}
        self._begin("segment", "Segmenting", self._segmented, indices=list(indices), **arguments)

    def _segmented(self, result: Any) -> None:
        self.say("Segmented. Ctrl-Z takes it back, section by section; reviewed regions stayed as they are.")

    def show_mask(self, section: int, mask: np.ndarray) -> None:
        """Put the mask of a section into the labels, so that it can be undone.

        Args:
            section: its number.
            mask: (height, width), not 0 in mitochondria.
        """
        indices, values = self.project.segmented(section, mask)
        if len(values):
            self.labels.data_setitem(indices, values)

    # 2 correct

    def brush(self) -> None:
        """Let the person paint."""
        self.viewer.layers.selection.active = self.labels
        self.labels.visible = True
        if self.objects is not None:
            self.objects.visible = False
        self.labels.selected_label = 1
        self.labels.mode = "paint"
        self.say("Paint mitochondria (key 2) and erase what is none (key 1). Each stroke is kept at once.")

    def draw_region(self) -> None:
        """Let the person draw a region."""
        self.viewer.layers.selection.active = self.regions
        self.regions.current_edge_color = COLOURS[False]
        self.regions.mode = "add_rectangle"
        self.say("Draw a region in which you have looked at every mitochondrion: only these are learned from.")

    def save_regions(self) -> None:
        """Keep the regions as they are drawn, or say why that cannot be."""
        try:
            self._keep_regions()
        except (OSError, ValueError) as error:
            self.say(f"{error}. The regions are not kept.", wrong=True)

    def _keep_regions(self) -> None:
        self._saving.stop()
        self.project.set_regions(regions_of(self.regions))
        held = [bool(region.held_out) for region in self.project.regions]
        if held:
            self.regions.features = {"held_out": held}
            self.regions.feature_defaults["held_out"] = None
            self.regions.edge_color = [COLOURS[out] for out in held]

    # 3 teach

    def teach(self) -> None:
        """Fine-tune the weights on the reviewed regions."""
        if self.teaching is not None:
            raise ValueError("use what was taught before, or throw it away, first")
        self.project.set_regions(regions_of(self.regions))
        self.teaching = Teaching(self.project)
        self.curve.clear()
        self.curve.setVisible(True)
        self._begin(
            "teach",
            "Teaching",
            lambda _: self.say("Use what was learned, or throw it away: until then, the weights in use stay."),
            stack=self.project.arguments,
            folder=str(self.teaching.folder),
            weights=str(self.project.weights),
            steps=self.steps.value(),
            minutes=self.minutes.value(),
        )

    def use(self) -> None:
        """Take the weights that were taught."""
        self.project.use(self.teaching.best)
        self._decided("In use from now on. The shipped weights are as they were.")

    def throw_away(self) -> None:
        """Remove the weights that were taught."""
        self.teaching.throw_away()
        self.score.clear()
        self._decided("Removed.")

    def _decided(self, text: str) -> None:
        self.teaching = None
        self._offer()
        self.say(text)

    def _offer(self) -> None:
        """Offer what a training has reached, whether it came to its end or not."""
        if self.teaching is not None:
            if self.teaching.stats() is None:
                self.teaching.throw_away()
                self.teaching = None
            else:
                self.score.setText(self.teaching.summary())
        for name in ("Use it", "Throw it away"):
            self.buttons[name].setEnabled(self.teaching is not None)

    # 4 measure

    def measure(self) -> None:
        """Number and measure the mitochondria of the labels through the stack."""
        self.project.set_thickness(self.thickness.value() or None)
        for layer in (self.image, self.labels, self.regions):
            layer.scale = scale_of(self.project)
        masks = self.project.folder / "masks"
        settings = {"pixel_size": self.project.pixel_size, "section_thickness": self.project.thickness}
        self._begin(
            "measure",
            "Measuring",
            self._measured,
            stack=self.project.arguments,
            masks=str(masks),
            sections=self.project.source,
            folder=str(self.project.folder / "objects"),
            overwrite=True,
            channel=self.project.channel,
            name="mitochondria",
            **{key: value for key, value in settings.items() if value is not None},
        )

    def _measured(self, result: Any) -> None:
        folder = self.project.folder / "objects"
        self.table.show_file(folder / "mitochondria.csv")
        self._places = read_places(folder / "profiles.csv")
        if self.objects is not None and self.objects in self.viewer.layers:
            self.viewer.layers.remove(self.objects)
        numbers = lazy_stack(find_sections(folder / "mitochondria_instances.tif"))
        self.objects = self.viewer.add_labels(numbers, name="numbers", **space_of(self.project))
        self.labels.visible = False
        self.objects.mouse_drag_callbacks.append(self._clicked)
        self.say(f"{self.table.rowCount()} mitochondria. A row leads to its mitochondrion, a click on one to its row.")

    def _clicked(self, layer: Any, event: Any) -> None:
        number = layer.get_value(event.position, view_direction=None, dims_displayed=event.dims_displayed, world=True)
        if number:
            self.table.select(int(number))
            layer.selected_label = int(number)

    def go_to_object(self, number: int) -> None:
        """Show a mitochondrion where it is largest.

        Args:
            number: of it.
        """
        section, y, x = self._places[number]
        factor = 1 if self.project.pixel_size is None else 1000  # nanometres of a micrometre
        self._go_to(section, factor * y, factor * x)
        self.objects.selected_label = number

    def export(self) -> None:
        """Copy all that was measured into a folder that the person names."""
        if not (self.project.folder / "objects" / "summary.json").exists():
            raise ValueError("nothing is measured yet")
        chosen = QFileDialog.getExistingDirectory(self, "Export to")
        if chosen:
            self.export_to(Path(chosen))

    def export_to(self, folder: Path) -> None:
        """Copy all that was measured.

        Args:
            folder: for ``objects`` and ``masks``, which it does not hold yet.

        Raises:
            OSError: it cannot be written, or holds them.
        """
        for name in ("objects", "masks"):
            shutil.copytree(self.project.folder / name, folder / name)
        self.say(f"Tables, report and numbers are in {folder / 'objects'}, masks in {folder / 'masks'}")

    # 5 suggest

    def suggest(self) -> None:
        """Go where the network is least sure."""
        reviewed = sorted({region.section for region in self.project.regions})
        source, settings = self.project.source, self._settings()
        self._begin("suggest", "Looking", self._suggested, source=source, reviewed=reviewed, settings=settings)

    def _suggested(self, place: dict[str, float]) -> None:
        _, height, width = scale_of(self.project)
        self._go_to(int(place["section"]), place["y"] * height, place["x"] * width)
        self.say("Here the network is least sure. Correct it, and draw a region around what you have looked at.")

    def _go_to(self, section: int, y: float, x: float) -> None:
        """Show a place; y and x as the layers are scaled."""
        self.viewer.dims.set_current_step(0, section)
        self.viewer.camera.center = (0, y, x)
        self.viewer.camera.zoom = max(self.viewer.camera.zoom, 1 / scale_of(self.project)[1])

    # what runs

    def _settings(self) -> dict[str, Any]:
        settings = {"checkpoint": str(self.project.weights), "pixel_size": self.project.pixel_size}
        return {**settings, "channel": self.project.channel}

    def _begin(self, job: str, doing: str, then: Callable[[Any], None], **arguments: Any) -> None:
        self.process.start(job, **arguments)
        self._then, self._doing = then, doing
        self.show_running(True)
        self.say(f"{doing} ...")

    def _progressed(self, report: dict[str, Any]) -> None:
        self.progress.setRange(0, report["steps"])
        self.progress.setValue(report["step"])
        self.say(f"{self._doing}: {report['step']} of {report['steps']}")
        if "loss" in report:
            self.curve.add(report["loss"])
        if "mask" in report:
            self.attempt(lambda: self.show_mask(report["section"], read_section(report["mask"]).T))

    def _finished(self, result: Any) -> None:
        self._ended()
        self.attempt(lambda: self._then(result))

    def _failed(self, text: str) -> None:
        self._ended()
        self.say(text, wrong=True)

    def cancel(self) -> None:
        """End what runs; of a training the best weights so far are kept."""
        self.process.cancel()
        self.say("Cancelled.")
        self._ended()

    def _ended(self) -> None:
        self.show_running(False)
        self._offer()

    def _notified(self, notification: Any) -> None:
        error = getattr(notification, "exception", None)  # warnings have none
        if isinstance(error, OSError):
            self.say(f"{error}. The last stroke is not kept: mend that, and paint it again.", wrong=True)


def _shut_down(process: WorkerProcess, project: Project, *_: Any) -> None:
    """End the process, and let others open the folder; all that is to be kept is."""
    process.cancel()
    project.close()
