"""Fetching published sets of labelled sections from their own homes."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tqdm import tqdm

from scripts.io import read_section, write_atomically, write_text

__all__ = [
    "PublicSet",
    "check_files",
    "check_terms",
    "describe",
    "fetch",
    "file_digest",
    "get_set",
    "parse_digests",
    "pixel_digest",
    "require_folders",
    "write_list",
]

logger = logging.getLogger(__name__)

TIMEOUT_S = 30  # without an answer for so long, a connection counts as lost


def file_digest(data: bytes, name: str) -> str:
    """SHA-256 of a file, in hexadecimal.

    Args:
        data: content of the file.
        name: its name.
    """
    return hashlib.sha256(data).hexdigest()


def pixel_digest(data: bytes, name: str) -> str:
    """SHA-256 of the pixels of a picture, in hexadecimal, whatever the compression of its file.

    Args:
        data: content of the file.
        name: its name, whose suffix says the format.

    Returns:
        The digest; that of the bytes where they are no picture.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(data)
        try:
            return hashlib.sha256(read_section(path).tobytes()).hexdigest()
        except ValueError:
            return file_digest(data, name)


def parse_digests(text: str) -> dict[str, str]:
    """Read digests in the form of ``sha256sum``.

    Args:
        text: lines of digest and path.

    Returns:
        Digest of each path.
    """
    return {name: sha256 for sha256, name in (line.split() for line in text.strip().split("\n"))}


@dataclass(frozen=True)
class PublicSet:
    """A published set of labelled sections, pinned to one commit of its home.

    Attributes:
        sha256: SHA-256 of each file in hexadecimal, by its path in the folder that is filled.
        datalist: list of sections in the JSON format of the Medical Segmentation Decathlon, as `datalist.json` holds
            it: paths relative to that file; each item may name the `region` of the section that it covers.
        repository: address of the git repository that publishes the set, as `git clone` takes it.
        commit: hash of the commit.
        url: address under which each single file of that commit is served. Empty where none serves them as they are,
            so that they are taken from a local copy.
        home: path of a file in the repository, where it differs from that in the folder.
        digest: what `sha256` is computed of, the file or its pixels.
    """

    sha256: Mapping[str, str]
    datalist: Mapping[str, Any]
    repository: str = ""
    commit: str = ""
    url: str = ""
    home: Mapping[str, str] = field(default_factory=dict)
    digest: Callable[[bytes, str], str] = file_digest


def check_terms(path: Path, datalist: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuse the list of a public set that states other terms or another release than this project knows.

    Args:
        path: of the list, for the error.
        datalist: its content.
        known: the list as the command of its set writes it.

    Raises:
        ValueError: `licence` or `release` differ.
    """
    for key in ("licence", "release"):
        if datalist.get(key) != known.get(key):
            raise ValueError(
                f"{path}: states for {known['name']} the {key} {datalist.get(key)!r}, its command under"
                f" `python -m bundle data` {known.get(key)!r}; let the command write the list anew, or give the list"
                " another name"
            )


def check_files(public_set: PublicSet, folder: Path) -> None:
    """Refuse a folder whose files are not the published ones.

    Args:
        public_set: what they should be.
        folder: that of its list.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file has another digest.
    """
    for name, sha256 in public_set.sha256.items():
        path = folder / name
        if (found := public_set.digest(path.read_bytes(), name)) != sha256:
            raise ValueError(f"{path} is not the published file: its SHA-256 is {found}, expected {sha256}")


def fetch(public_set: PublicSet, output: Path, source: Path | None = None) -> Path:
    """Fetch and check a published set and, last of all, write its list of sections.

    A file has its final name only once it is complete and verified, so an interrupted run resumes where it stopped.
    A file that has a name of the set and another content, such as a label that a person corrected, is replaced, and
    kept as `NAME.replaced1` or with the next free number; no other file is touched.

    Args:
        public_set: what to fetch.
        output: folder to fill; made if it is missing.
        source: root of a local copy of the set to take the files from, instead of the network.

    Returns:
        Path of the list, `output/datalist.json`.

    Raises:
        FileExistsError: if `output` holds a `datalist.json` that differs from the one to be written.
        FileNotFoundError: if a file is missing in `source`.
        ConnectionError: if a file cannot be fetched from its home.
        ValueError: if a fetched file, or one in `source`, is not the published one, or no address serves the set.
        OSError: if a file cannot be written.
    """
    require_same_list(public_set.datalist, output)
    if source is None and not public_set.url:
        raise ValueError(f"{public_set.datalist['name']} is not served by any address: name a local copy as the source")
    with tqdm(public_set.sha256.items(), desc=public_set.datalist["name"], unit="file") as files:
        for name, sha256 in files:
            target = output / name
            if target.is_file() and public_set.digest(target.read_bytes(), name) == sha256:
                continue
            data = _download(public_set, name) if source is None else _read(source, name, public_set)
            if (found := public_set.digest(data, name)) != sha256:
                origin = f"{public_set.url}/{_at_home(public_set, name)}" if source is None else f"{name} of {source}"
                raise ValueError(f"{origin} is not the published file: its SHA-256 is {found}, expected {sha256}")
            if target.exists():
                kept = _kept(target)
                logger.warning("%s is not the published file and is replaced; it is kept as %s", target, kept.name)
            write_atomically(target, partial(Path.write_bytes, data=data))
    return write_list(public_set.datalist, output)


def write_list(datalist: Mapping[str, Any], output: Path) -> Path:
    """Write a list of sections, unless another one is there.

    Args:
        datalist: the list.
        output: folder; made if it is missing.

    Returns:
        Path of `datalist.json` in it.

    Raises:
        FileExistsError: it holds another list.
        OSError: the list cannot be written.
    """
    path, content = require_same_list(datalist, output)
    write_text(path, content)
    return path


def require_same_list(datalist: Mapping[str, Any], output: Path) -> tuple[Path, str]:
    """Refuse a folder with another list of sections.

    Args:
        datalist: the list to be written.
        output: folder.

    Returns:
        Path and content of the list.

    Raises:
        FileExistsError: `output` holds another list.
    """
    path = output / "datalist.json"
    content = json.dumps(datalist, indent=2, default=dict) + "\n"  # a section is a mapping
    if path.exists() and path.read_text() != content:
        raise FileExistsError(
            f"{path} is another list than the one to be written{_difference(path, datalist)} and stays as it is: move"
            " it or name another folder"
        )
    return path, content


def get_set(public_set: PublicSet, output: str, source: str | None) -> str:
    """Fetch a set for a command.

    Args:
        public_set: what to fetch.
        output: folder to fill.
        source: root of a local copy, or None.

    Returns:
        What was written, its licence and how to cite it.

    Raises:
        ValueError: if an argument is not a path; see `fetch`.
    """
    require_folders(output=output, source="." if source is None else source)
    datalist = fetch(public_set, Path(output), None if source is None else Path(source))
    return describe(datalist, public_set.datalist)


def require_folders(**paths: Any) -> None:
    """Refuse arguments that are no paths, such as a switch without its value.

    Args:
        **paths: the arguments by name.

    Raises:
        ValueError: one is not a path.
    """
    for name, value in paths.items():
        if not isinstance(value, str | Path) or not str(value):
            raise ValueError(f"{name} must be the path of a folder, but got {value!r}")


def describe(path: Path, datalist: Mapping[str, Any]) -> str:
    """Say what a list of sections holds.

    Args:
        path: where it was written.
        datalist: its content.

    Returns:
        Number of regions of each part, licence and reference.
    """
    parts = ", ".join(f"{len(datalist.get(part, []))} {part}" for part in ("training", "validation", "test"))
    return f"{path}: {parts} regions\nLicence: {datalist['licence']}\nCite: {datalist['reference']}"


def _difference(path: Path, datalist: Mapping[str, Any]) -> str:
    """Name the entries in which a list that is there differs, such as its licence."""
    try:
        found = json.loads(path.read_text())
        differing = sorted(key for key in {*found, *datalist} if found.get(key) != datalist.get(key))
    except (ValueError, TypeError, AttributeError):
        return ""
    return f" ({', '.join(differing)})"


def _kept(target: Path) -> Path:
    """Copy a file before it is replaced; no earlier copy is overwritten."""
    copies = (target.with_name(f"{target.name}.replaced{number}") for number in count(1))
    kept = next(path for path in copies if not path.exists())
    write_atomically(kept, partial(shutil.copyfile, target))
    return kept


def _at_home(public_set: PublicSet, name: str) -> str:
    return public_set.home.get(name, name)


def _read(source: Path, name: str, public_set: PublicSet) -> bytes:
    for path in (source / name, source / _at_home(public_set, name)):
        if path.is_file():
            return path.read_bytes()
    raise FileNotFoundError(f"{source / name} is missing: the source must be the folder that holds {name}")


def _download(public_set: PublicSet, name: str) -> bytes:
    # monai.apps.download_url would do, but it has no timeout, swallows a PermissionError and may leave half a file
    # under the final name when the temporary folder lies on another file system.
    url = f"{public_set.url}/{_at_home(public_set, name)}"
    try:
        with urlopen(url, timeout=TIMEOUT_S) as response:
            return response.read()
    except (OSError, HTTPException) as error:
        raise ConnectionError(
            f"cannot fetch {url}: {error}. Run the command again to resume. Without a network, get the files on another"
            f" machine with `git clone {public_set.repository} FOLDER && git -C FOLDER checkout {public_set.commit}`,"
            " bring FOLDER here and add `--source FOLDER`"
        ) from error
