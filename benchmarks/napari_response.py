"""How long the window of ``python -m bundle napari`` does not answer while it works, on a phantom; with pictures of it.

``python -m benchmarks.napari_response`` in the environment of ``make napari``, with a display; without one,
``xvfb-run -a`` before it.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fire
import numpy as np
from PIL import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from bundle.data.phantom import phantom
from bundle.viewer.napari import open_viewer
from scripts.io import read_section

COUNT = 3
TICK = 5
"""Milliseconds of the timer."""


class Pulse:
    """A timer in the event loop, whose longest gap is how long the window did not answer."""

    def __init__(self) -> None:
        self.longest = self.last = 0.0
        self.timer = QTimer(interval=TICK)
        self.timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest, self.last = max(self.longest, now - self.last), now

    def during(self, name: str, busy: Callable[[], bool], start: Callable[[], None]) -> None:
        """Measure from a press of a button until what it started has ended, and print it."""
        application = QApplication.instance()
        began = self.last = time.perf_counter()
        self.longest = 0.0
        self.timer.start()
        start()
        while busy():
            application.processEvents()
            time.sleep(0.001)
        for _ in range(20):
            application.processEvents()
        self.timer.stop()
        print(f"| {name} | {time.perf_counter() - began:.1f} | {1000 * self.longest:.0f} |", flush=True)


def main(size: int = 1024, steps: int = 40, pictures: str | None = None) -> None:
    """Do what a person does.

    Args:
        size: width and height of the sections in pixels, of 5 nm.
        steps: of teaching.
        pictures: folder for pictures of the window.
    """
    with tempfile.TemporaryDirectory() as folder:
        phantom(output=f"{folder}/phantom", seed=5, size=size, sections=(COUNT, 1, 1))
        labels = sorted(Path(folder, "phantom", "labels").glob("training_*.png"))
        truth = np.array([read_section(file).T > 0 for file in labels])
        viewer = open_viewer(f"{folder}/phantom/images/training_*.png", 5, 50, output_dir=f"{folder}/out")
        viewer.window.resize(1500, 950)
        panel, pulse = viewer.window.dock_widgets["Mitochondria"], Pulse()

        def press(button: str, name: str) -> None:
            pulse.during(name, lambda: panel.process.busy, panel.buttons[button].click)

        def picture(name: str) -> None:
            if pictures:
                QApplication.instance().processEvents()
                window = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
                Image.fromarray(window).save(f"{pictures}/napari_{name}.jpg", quality=80)

        viewer.reset_view()
        for _ in range(50):  # the window draws itself for the first time
            QApplication.instance().processEvents()
        print(f"\n{COUNT} phantom sections of {size}x{size} pixels; {platform.machine()}, no GPU\n")
        print("| what | seconds | longest gap, ms |\n| --- | --- | --- |")
        press("All sections", "segment all sections, the first time")
        press("This section", "segment one section again")
        picture("segment")
        width = size // COUNT
        for number in range(COUNT):
            left, right = number * width, (number + 1) * width - 1
            corners = [[0, 0, left], [0, 0, right], [0, size - 1, right], [0, size - 1, left]]
            panel.regions.add_rectangles(np.array(corners))
        wrong = np.nonzero((panel.labels.data[0] > 0) != truth[0])
        panel.labels.data_setitem((np.zeros(len(wrong[0]), int), *wrong), truth[0][wrong].astype(np.uint8))
        panel.steps.setValue(steps)
        press("Teach", f"teach, {steps} steps")
        viewer.dims.set_current_step(0, 0)
        picture("teach")
        panel.buttons["Use it"].click()
        press("All sections", "segment all sections with what was taught")
        press("Measure", "measure")
        panel.table.selectRow(0)
        picture("measure")
        press("Where is it least sure?", "suggest")
        viewer.close()


if __name__ == "__main__":
    fire.Fire(main)
