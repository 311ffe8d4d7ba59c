"""A real napari window, with Qt's own platform on a virtual display."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.runs import ROOT
from scripts.io import find_sections, read_section, write_section

pytest.importorskip("napari", reason="napari is not installed here: `make test_napari` makes its environment")
if not os.environ.get("DISPLAY") and not shutil.which("Xvfb"):
    pytest.skip("no display, and no Xvfb to make one", allow_module_level=True)

pytestmark = [
    pytest.mark.slow,
    # napari's and its plugins' own
    pytest.mark.filterwarnings("default"),
]
SHIPPED = ROOT / "models" / "model.pt"
WHOLE = ((0.0, 0.0), (0.0, 255.0), (255.0, 255.0), (255.0, 0.0))


@pytest.fixture(scope="module", autouse=True)
def display() -> Iterator[None]:
    """A virtual display where there is no other."""
    if os.environ.get("DISPLAY"):
        yield
        return
    reading, writing = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1100x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as file:
        os.environ["DISPLAY"] = f":{file.readline().strip()}"
    yield
    process.terminate()
    process.wait()


@pytest.fixture
def open_stack() -> Iterator[Callable[..., Any]]:
    """Opens a window; gives what is docked to it."""
    from bundle.viewer.napari import open_viewer

    viewers = []

    def open_it(*arguments: Any, **options: Any) -> Any:
        viewers.append(open_viewer(*map(str, arguments), **options))
        return viewers[-1].window.dock_widgets["Mitochondria"]

    yield open_it
    for viewer in viewers:
        viewer.close()
    process_events()


def process_events() -> None:
    from qtpy.QtWidgets import QApplication

    QApplication.instance().processEvents()


def wait(panel: Any, until: Callable[[], bool] | None = None) -> None:
    """Until what runs has ended."""
    end = time.monotonic() + 200
    while panel.process.busy and not (until and until()):
        assert time.monotonic() < end, panel.message.text()
        process_events()
        time.sleep(0.005)
    process_events()


def press(panel: Any, button: str) -> None:
    assert panel.buttons[button].isEnabled()
    panel.buttons[button].click()


def jaccard(found: np.ndarray, true: np.ndarray) -> float:
    return (found & true).sum() / (found | true).sum()


def test_segment_correct_teach_measure_export(
    open_stack: Callable, stack: Path, truth: np.ndarray, tmp_path: Path
) -> None:
    panel = open_stack(stack, pixel_size=5, section_thickness=50)
    shipped = SHIPPED.read_bytes()
    press(panel, "All sections")
    assert not panel.buttons["Teach"].isEnabled()
    wait(panel)
    first = np.asarray(panel.labels.data[:]) > 0
    masks = tmp_path / "masks"
    from bundle.runs import run

    run("inference", run_id="inference", dataset_dir=str(stack), output_dir=str(masks), pixel_size=5.0)
    for index, file in enumerate(sorted(masks.glob("*.png"))):
        np.testing.assert_array_equal(first[index], read_section(file).T > 0)

    panel.labels.undo()  # the last section
    assert not (np.asarray(panel.labels.data[2]) > 0).any()
    panel.labels.redo()

    # section 0 is corrected and reviewed in three regions
    for left, right in ((0, 84), (85, 169), (170, 255)):
        panel.regions.add_rectangles(np.array([[0, 0, left], [0, 0, right], [0, 255, right], [0, 255, left]]))
    wrong = np.nonzero(first[0] != truth[0])
    panel.labels.data_setitem((np.zeros(len(wrong[0]), int), *wrong), truth[0][wrong].astype(np.uint8))
    panel.steps.setValue(100)
    panel.minutes.setValue(0)
    press(panel, "Teach")
    assert [region.held_out for region in panel.project.regions] == [False, False, True]
    wait(panel)
    assert len(panel.curve.values) == 100
    assert "regions left out" in panel.score.text()
    assert panel.project.weights == SHIPPED  # not before the person says so
    press(panel, "Use it")
    assert SHIPPED.read_bytes() == shipped
    press(panel, "All sections")
    wait(panel)
    second = np.asarray(panel.labels.data[:]) > 0
    np.testing.assert_array_equal(second[0], truth[0])  # reviewed
    assert jaccard(second[1:], truth[1:]) > jaccard(first[1:], truth[1:]) + 0.02

    press(panel, "Measure")
    wait(panel)
    sections = find_sections(panel.project.folder / "objects" / "mitochondria_instances.tif")
    numbers = np.stack([read_section(section).T for section in sections])
    assert panel.table.rowCount() == numbers.max() > 2
    np.testing.assert_array_equal(np.asarray(panel.objects.data), numbers)
    assert_rows_and_mitochondria_lead_to_each_other(panel, numbers)

    panel.export_to(tmp_path / "export")
    assert (tmp_path / "export" / "objects" / "report.html").is_file()
    assert len([*(tmp_path / "export" / "masks").glob("*_mitochondria.png")]) == 3

    press(panel, "Where is it least sure?")
    wait(panel)
    assert panel.section in (1, 2)  # section 0 is reviewed


def assert_rows_and_mitochondria_lead_to_each_other(panel: Any, numbers: np.ndarray) -> None:
    for row in range(3):
        panel.table.selectRow(row)
        y, x = (round(place / 5) for place in panel.viewer.camera.center[1:])
        here = numbers[panel.section, max(0, y - 8) : y + 8, max(0, x - 8) : x + 8]
        assert panel.table.selected() in here
    for number in (2, 1):
        click(panel, number, numbers)
        assert panel.table.selected() == number


def click(panel: Any, number: int, numbers: np.ndarray) -> None:
    """Click on a mitochondrion as the mouse does."""
    from napari.utils._test_utils import read_only_mouse_event
    from napari.utils.interactions import mouse_press_callbacks

    section, y, x = (int(axis[0]) for axis in np.nonzero(numbers == number))
    panel.viewer.dims.set_current_step(0, section)
    event = read_only_mouse_event(type="mouse_press", position=(50 * section, 5 * y, 5 * x), dims_displayed=[1, 2])
    mouse_press_callbacks(panel.objects, event)


KILLED = """
import os, signal, sys, time
import numpy as np
from qtpy.QtWidgets import QApplication
from bundle.viewer.napari import open_viewer

viewer = open_viewer(sys.argv[1], pixel_size=5)
panel = viewer.window.dock_widgets["Mitochondria"]
panel.labels.selected_label = 1
panel.labels.paint((1, 100, 120), 1)  # a stroke of the brush
panel.regions.add_rectangles(np.array([[1, 50, 60], [1, 50, 160], [1, 150, 160], [1, 150, 60]]))
end = time.monotonic() + 60
while not (panel.project.folder / "regions.json").exists() and time.monotonic() < end:
    QApplication.instance().processEvents()
panel.segment_all()
while "section" not in panel.message.text() and not panel.labels.data[0].any() and time.monotonic() < end:
    QApplication.instance().processEvents()
print(int(panel.labels.data[0].sum()), int(panel.labels.data[1].sum()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_viewer_that_is_killed_opens_where_it_was(open_stack: Callable, stack: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(stack)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    first, second = (int(number) for number in done.stdout.split())
    panel = open_stack(stack)
    assert second > 50
    assert [int(panel.labels.data[index].sum()) for index in (0, 1)] == [first, second]
    assert panel.labels.data[1, 100, 120] == 1
    assert [len(data) for data in panel.regions.data] == [4]
    assert panel.project.regions[0].section == 1
    assert panel.project.pixel_size == [5.0, 5.0]


def test_a_training_that_is_cancelled_keeps_the_best_so_far(
    open_stack: Callable, stack: Path, truth: np.ndarray
) -> None:
    panel = open_stack(stack, pixel_size=5)
    panel.labels.data[:] = truth
    panel.regions.add_rectangles(np.array([[0, *corner] for corner in WHOLE]))
    panel.steps.setValue(1000)
    press(panel, "Teach")
    wait(panel, until=lambda: panel.teaching.stats() is not None)
    panel.stop.click()
    assert "before" in panel.score.text()
    press(panel, "Throw it away")
    assert [*(panel.project.folder / "trainings").iterdir()] == []
    assert not panel.buttons["Use it"].isEnabled()
    press(panel, "This section")  # a new process
    wait(panel)
    assert "Segmented" in panel.message.text()


def test_what_stands_in_the_way_is_said_in_the_window(open_stack: Callable, stack: Path, tmp_path: Path) -> None:
    write_section(stack / "zzz.png", np.zeros((100, 90), np.uint8))
    assert "zzz.png: has 100x90 pixels" in open_stack(stack).text()
    (stack / "zzz.png").unlink()
    (tmp_path / "file").write_text("")
    assert "cannot be written" in open_stack(stack, output_dir=str(tmp_path / "file" / "folder")).text()
    panel = open_stack(stack)
    press(panel, "Teach")
    wait(panel)
    assert "no region is reviewed" in panel.message.text()
    press(panel, "Export")
    assert "nothing is measured yet" in panel.message.text()
    panel.regions.add_rectangles(np.array([[0, 300, 300], [0, 300, 400], [0, 400, 400], [0, 400, 300]]))
    press(panel, "Teach")
    assert "region 1 lies outside of the sections" in panel.message.text()
    panel.regions.data = []
    panel.regions.add_rectangles(np.array([[0, *corner] for corner in WHOLE]))
    press(panel, "Teach")
    wait(panel)
    assert "no mitochondrion in the regions" in panel.message.text()
    assert "another viewer" in open_stack(stack).text()


def test_a_full_disk_loses_nothing(open_stack: Callable, stack: Path, small_disk: Callable) -> None:
    from napari.utils.notifications import notification_manager

    disk = small_disk(131072)
    panel = open_stack(stack, output_dir=str(disk / "out"))
    panel.labels.data[0, 10:20, 10:20] = 1
    with pytest.raises(OSError, match="No space left"):
        (disk / "filler").write_bytes(bytes(131072))
    panel.regions.add_rectangles(np.array([[0, *corner] for corner in WHOLE]))
    panel.save_regions()
    assert "regions.json" in panel.message.text()
    assert "not kept" in panel.message.text()
    with pytest.raises(OSError, match="No space left"):
        panel.labels.data[1] = np.random.default_rng(0).integers(0, 2, (256, 256))
    assert panel.labels.data[0].sum() == 100
    full = OSError(28, "No space left on device")  # as napari says it of a stroke
    notification_manager.receive_error(OSError, full, full.__traceback__)
    assert "No space left on device. The last stroke is not kept" in panel.message.text()
    notification_manager.receive_info("something else")
    assert "The last stroke is not kept" in panel.message.text()
    (disk / "filler").unlink()
    panel.save_regions()
    assert len(json.loads((disk / "out" / "regions.json").read_text())) == 1


def test_what_the_bundle_writes_is_opened(stack: Path, truth: np.ndarray, tmp_path: Path) -> None:
    from napari import Viewer

    from bundle.volumes.convert import convert
    from scripts.objects.outputs import write_instances, write_labels

    convert(str(stack), str(tmp_path / "volume.zarr"), pixel_size=5, section_thickness=50)
    numbers = truth.astype(np.uint32)
    write_labels(tmp_path / "volume.zarr", iter(numbers), numbers.shape, [5.0, 5.0], 50)
    write_instances(tmp_path / "numbers.tif", iter(numbers), numbers.shape, int(numbers.max()), [5.0, 5.0], 50)
    viewer = Viewer(show=False)
    try:
        (layer,) = viewer.open(str(tmp_path / "numbers.tif"), plugin="napari", layer_type="labels")
        np.testing.assert_array_equal(np.asarray(layer.data), numbers)
        layers = viewer.open(str(tmp_path / "volume.zarr"), plugin="napari-ome-zarr")
        shown = [layer for layer in layers if type(layer).__name__ == "Labels"]
        pixels = shown[0].data[0] if shown[0].multiscale else shown[0].data
        np.testing.assert_array_equal(np.asarray(pixels), numbers)
    finally:
        viewer.close()
