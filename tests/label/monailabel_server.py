"""A MONAI Label server for tests, and its client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from bundle.runs import ROOT, run
from scripts.io import read_section

NAME = "em_mitochondria_segmentation"
AFFINE = np.array([[-0.005, 0, 0, 3], [0, 0.004, 0, -4], [0, 0, 0.05, 5], [0, 0, 0, 1]])


def segment(image: Path, output: Path, **settings: Any) -> np.ndarray:
    """Give the mask that `run inference` makes, of sections of 5 nm as the server has them."""
    settings = {"pixel_size": 5, **settings}
    run("inference", run_id="inference", dataset_dir=str(image), output_dir=str(output), **settings)
    return read_section(next(output.glob("*_mitochondria.*"))) > 0


class Server:
    """A server and a client of it.

    Args:
        python: interpreter of MONAI Label's environment.
        studies: folder of sections.
        bundles: further bundles.
        pixel_size: of the sections, nanometres.
    """

    def __init__(self, python: str, studies: Path, *bundles: Path, pixel_size: float | None = None) -> None:
        self.command = [python, "-m", "bundle", "serve", str(studies), *map(str, bundles)]
        self.pixel_size = pixel_size
        self.studies = studies
        self.models = studies / "monailabel" / "model" / NAME / "models"
        self.log = studies.parent / "server.log"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [*self.command, "--port", str(port)]
        if self.pixel_size is not None:
            command += ["--pixel_size", str(self.pixel_size)]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        for _ in range(240):
            if self.process.poll() is not None:
                break
            try:
                if requests.get(f"{self.address}/info/", timeout=30).ok:
                    return
            except requests.ConnectionError:
                time.sleep(0.5)
        self.stop()
        pytest.fail(f"the server did not start:\n{self.log.read_text()[-5000:]}")

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it, and with SIGKILL all processes that it has started too."""
        if self.process.poll() is None:
            if how == signal.SIGKILL:
                os.killpg(self.process.pid, how)
            self.process.terminate()
            self.process.wait(60)

    def __call__(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send a request."""
        return requests.request(method, self.address + path, timeout=300, **arguments)

    def ask(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a request that has to succeed, and read its answer."""
        answer = self(method, path, **arguments)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def infer(self, image: str, model: str = NAME, **settings: Any) -> requests.Response:
        """Ask for a mask."""
        path = f"/infer/{model}?image={image}&output=image"
        return self("POST", path, data={"params": json.dumps(settings)})

    def mask(self, image: str, folder: Path, model: str = NAME, **settings: Any) -> Path:
        """Ask for a mask, and give the file."""
        answer = self.infer(image, model, **settings)
        assert answer.ok, f"{answer.status_code} {answer.text}"
        name = answer.headers["content-disposition"].split('"')[1]
        path = folder / f"{image}_{name}"
        path.write_bytes(answer.content)
        return path

    def submit(self, image: str, label: Path, tag: str = "final") -> requests.Response:
        """Send a label."""
        with label.open("rb") as file:
            return self("PUT", f"/datastore/label?image={image}&tag={tag}", files={"label": (label.name, file)})

    def wait(self, task: str) -> dict[str, Any]:
        """Wait for a task in the background."""
        for _ in range(1200):
            status = self.ask("GET", f"/{task}")
            if status["status"] not in ("SUBMITTED", "RUNNING"):
                return status
            time.sleep(0.5)
        pytest.fail(f"{task}: {status}")

    def train(self, **options: Any) -> dict[str, Any]:
        """Train to the end."""
        self.ask("POST", f"/train/{NAME}", json=options)
        return self.wait("train/")
