"""Volumes and their mitochondria in a browser."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.io import Header, is_volume, read_header, write_atomically

__all__ = ["show", "view"]

PICTURE = (1000, 700)
"""Pixels of a window in which the whole of a section is to be seen at first."""


def view(*volumes: str, host: str = "127.0.0.1", port: int = 0, screenshot: str | None = None) -> None:
    """Show volumes in Neuroglancer, with the mitochondria that `run volume` found, until Ctrl-C.

    The browser's program comes with the package, and the volumes from their folders: nothing is fetched from elsewhere.

    Args:
        *volumes: OME-Zarr volumes: sections, and results of `run volume`, each of which becomes a layer of numbered
            mitochondria, or of masks where they were not numbered. A layer has the name of its volume, with the folder
            above where several have that name.
        host: address to listen at; only this computer reaches the default.
        port: port to listen at; 0 takes any that is free.
        screenshot: PNG file for a picture of the first section as a browser without a window, chromium, shows it; the
            command ends then.

    Raises:
        ValueError: no volume is named, or one is no OME-Zarr image.
        OSError: a volume is not there, Neuroglancer or chromium is not installed, or the port is in use.
    """
    viewer = show(*volumes, host=host, port=port)
    if screenshot is not None:
        _picture(viewer, Path(screenshot))
        return
    print(f"Open {viewer.get_viewer_url()} in a browser; Ctrl-C ends the viewer", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()


def show(*volumes: str, host: str = "127.0.0.1", port: int = 0) -> Any:
    """Start the viewer.

    Args:
        *volumes: see `view`.
        host: see `view`.
        port: see `view`.

    Returns:
        Neuroglancer's viewer.

    Raises:
        ValueError: see `view`.
        OSError: see `view`.
    """
    if not volumes:
        raise ValueError("name at least one volume")
    layers = [_layer(Path(volume).resolve()) for volume in volumes]
    try:
        import neuroglancer
        from tornado.web import StaticFileHandler
    except ModuleNotFoundError:
        raise OSError("Neuroglancer is not installed: pip install -r bundle/volumes/requirements.txt") from None
    neuroglancer.set_server_bind_address(host, port)
    viewer = neuroglancer.Viewer()
    # by the viewer's own server: a browser refuses what comes from another address
    server = neuroglancer.server.global_server
    handlers = [(rf"/volumes/{i}/(.*)", StaticFileHandler, {"path": str(path)}) for i, (path, _) in enumerate(layers)]
    server.app.add_handlers(r".*", handlers)
    first = read_header(layers[0][0])
    with viewer.txn() as state:
        state.dimensions, state.position = _space(neuroglancer, first), [first.width / 2, first.height / 2, 0.5]
        state.cross_section_scale = max(first.width / PICTURE[0], first.height / PICTURE[1])
        names = _names([path for path, _ in layers])
        for number, (name, (_, labels)) in enumerate(zip(names, layers, strict=True)):
            source = f"zarr://{server.server_url}/volumes/{number}/"
            kind = neuroglancer.SegmentationLayer if labels else neuroglancer.ImageLayer
            state.layers[name] = kind(source=source)
        state.layout = "xy"
    return viewer


def _picture(viewer: Any, path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise OSError("chromium is not installed, which takes the picture")
    # WebGL without a graphics card; the profile is new, so that no other window of the user is asked
    options = ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options += [f"--user-data-dir={profile}", "--remote-debugging-port=0", viewer.get_viewer_url()]
        with subprocess.Popen([browser, *options], stderr=subprocess.DEVNULL) as process:
            try:
                picture = viewer.screenshot(size=list(PICTURE)).screenshot.image
            finally:
                process.terminate()
    write_atomically(path, lambda partial: partial.write_bytes(picture))


def _space(neuroglancer: ModuleType, header: Header) -> Any:
    """The axes as a section is looked at, x to the right and y downwards; a volume has them the other way round."""
    thickness, size = header.form.get("section_thickness_nm"), header.pixel_size_nm
    scales = [*((1, 1) if size is None else size), thickness or 1]
    units = [*(["nm"] * 2 if size is not None else ["", ""]), "nm" if thickness else ""]
    return neuroglancer.CoordinateSpace(names=["x", "y", "z"], units=units, scales=scales)


def _names(paths: Sequence[Path]) -> list[str]:
    """Names of layers, of which no two may be the same: that of the volume, with its folder, and with a number."""
    volumes = [path.parent.parent if path.parent.name == "labels" else path for path in paths]
    short = [volume.name for volume in volumes]
    names: list[str] = []
    for volume in volumes:
        name = full = volume.name if short.count(volume.name) == 1 else f"{volume.parent.name}/{volume.name}"
        number = 1
        while name in names:
            number += 1
            name = f"{full} {number}"
        names.append(name)
    return names


def _layer(volume: Path) -> tuple[Path, bool]:
    """The image to show, and whether it is one of numbers."""
    if not is_volume(volume):
        raise ValueError(f"{volume}: must be an OME-Zarr volume, a folder named *.zarr")
    header = read_header(volume)
    labels = volume / "labels" / "mitochondria"
    if labels.is_dir():
        return labels, True
    return volume, header.result and header.dtype == "uint8"
