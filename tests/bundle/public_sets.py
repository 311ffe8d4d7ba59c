"""A small public set, and its home on this machine."""

from __future__ import annotations

import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bundle.data.fetch import PublicSet

FILES = {"raw/00.tif": b"section 0", "raw/01.tif": b"section 1", "masks/00.png": b"mask 0", "masks/01.png": b"mask 1"}

COMMIT = "0123456789abcdef"


class Home(ThreadingHTTPServer):
    """Serves a folder on this machine in place of the home of a set, and notes what was asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requested: list[str] = []
        self.cuts_off = False
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(root)))


class _Handler(SimpleHTTPRequestHandler):
    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Length" and self.server.cuts_off:
            value = str(int(value) + 1)
        super().send_header(keyword, value)

    def log_message(self, *_: object) -> None:
        self.server.requested.append(self.path.removeprefix("/"))


def write_files(root: Path) -> Path:
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def read_files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def make_set(url: str) -> PublicSet:
    items = [{"image": f"raw/0{i}.tif", "label": f"masks/0{i}.png", "region": [0, 0, 8, 8]} for i in range(2)]
    return PublicSet(
        repository="https://example.org/set.git",
        commit=COMMIT,
        url=url,
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
        datalist={"name": "small", "licence": "L", "reference": "R", "training": items, "validation": [], "test": []},
    )
