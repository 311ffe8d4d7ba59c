"""What tests of commands share: the smallest network, and a small public set with its home."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from public_sets import Home, make_set, write_files

from bundle.data.fetch import PublicSet


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Settings of the smallest network."""
    return {
        "width": 0.125,
        "patch_size": 64,
        "network_pixel_size": 5.0,
        "num_workers": 0,
        "batch_size": 2,
        "device": "$torch.device('cpu')",
    }


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let nothing be written relative to the current folder, nor the way errors are printed be changed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.excepthook", lambda *_: None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Home(write_files(tmp_path / "home")) as server:
        thread = Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def public_set(home: Home) -> PublicSet:
    return make_set(f"http://127.0.0.1:{home.server_port}")


@pytest.fixture
def unreachable() -> PublicSet:
    """A set whose home answers nobody: its port is bound and closed again."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        port = server.server_port
    return make_set(f"http://127.0.0.1:{port}")
