"""Writing of files of any kind: complete or not at all, and with a reason where it cannot be done."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import multiprocessing.util
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "keep_sockets_short",
    "lies_in",
    "lock",
    "naming",
    "reason",
    "require_writable",
    "write_atomically",
    "write_json",
    "write_text",
]

logger = logging.getLogger(__name__)

BLOCK = 4096
"""Bytes that a disk gives at the least."""
LONGEST_TEMPORARY = 60
"""Bytes in the name of the folder for temporary files, beyond which a socket in it may have no name: Linux has 108."""


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> None:
    """Let a file appear under its name only when it is complete; a failure leaves what was there.

    Args:
        path: the final name; missing folders are made.
        write: writes the file to the path that it is given, which has the same suffix.

    Raises:
        OSError: the file cannot be written, for instance because the disk is full, or nothing was written; the message
            names it.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a folder beside the file: the same disk, so that the renaming is atomic, and the name keeps its suffix
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
            partial = Path(folder) / path.name
            write(partial)
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        # ITK and torch report a full disk as a RuntimeError, which does not say so
        hint = "" if isinstance(error, OSError) else "; the disk may be full"
        raise OSError(f"{path}: cannot be written: {reason(error)}{hint}") from None


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON as `write_atomically` writes.

    Args:
        path: the final name.
        content: what JSON can hold.

    Raises:
        OSError: the file cannot be written.
    """
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8 as `write_atomically` writes; bytes of a file's name that are none are escaped.

    Args:
        path: the final name.
        text: what it holds, lines ended as they are.

    Raises:
        OSError: the file cannot be written.
    """
    content = text.encode("utf-8", "backslashreplace")
    write_atomically(path, lambda partial: partial.write_bytes(content))


def require_writable(*folders: str | Path) -> None:
    """Make folders, and refuse those that cannot be written, before hours are spent.

    Args:
        *folders: folders of results; missing ones are made.

    Raises:
        OSError: a folder cannot be made or written.
    """
    for folder in folders:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            # permissions do not tell everything, such as read-only disks and full ones
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(BLOCK))
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(f"{folder}: the output folder cannot be written: {error.strerror}") from None


def lies_in(file: str | Path, folder: str | Path, below: bool = False) -> bool:
    """Tell whether a file lies in a folder, by its own name or by where links lead.

    Args:
        file: path of the file, which may be a link, or lie in one.
        folder: path of the folder, which need not exist.
        below: whether folders in it count as well.

    Returns:
        Whether what is written to the folder would lie beside the file.
    """
    named = Path(os.path.abspath(file))
    folders = {Path(os.path.abspath(folder)), Path(folder).resolve()}
    places = named, named.parent.resolve() / named.name, Path(file).resolve()
    return any(not folders.isdisjoint(place.parents if below else [place.parent]) for place in places)


def lock(path: str | Path, refusal: str) -> int:
    """Take a lock that one process can have at a time; it ends with the process, however that ends.

    Where a file system has no locks, there is a warning.

    Args:
        path: of the lock, a file that is made and stays; its folder is there.
        refusal: what the error says.

    Returns:
        The descriptor of the file: the lock lasts until it is closed.

    Raises:
        OSError: another process has the lock.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # made by someone else who works in this folder
        descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OSError(refusal) from None
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            os.close(descriptor)
            raise
        logger.warning("%s: this file system has no locks, nothing keeps a second run out: %s", path, error.strerror)
    return descriptor


def keep_sockets_short() -> None:
    """Let processes that load sections talk through sockets in ``/tmp`` where TMPDIR is too long for that.

    The name of a socket has some 100 bytes, and that of the folder in which `multiprocessing` makes them begins with
    TMPDIR: with a longer one, a loading process cannot hand on what it loaded, and the run waits for ever. To be called
    before such processes start; all other temporary files stay where TMPDIR says.
    """
    if os.name != "posix" or len(os.fsencode(tempfile.gettempdir())) <= LONGEST_TEMPORARY:
        return
    chosen = tempfile.tempdir
    try:
        tempfile.tempdir = "/tmp"
        multiprocessing.util.get_temp_dir()  # makes the folder once, and child processes know it from this one
    finally:
        tempfile.tempdir = chosen


@contextmanager
def naming(what: str | Path) -> Iterator[None]:
    """Let errors of what is written within name it, where a library's own name no file.

    Args:
        what: a path, or words that begin with one.

    Raises:
        OSError: what is written within raised one.
    """
    try:
        yield
    except OSError as error:
        if str(what) in str(error):
            raise
        raise OSError(error.errno, f"{what}: cannot be written: {error.strerror or error}") from None


def reason(error: BaseException) -> str:
    """Give the last line of an error's message that says something, or else its type.

    Args:
        error: any error, such as one of a library.

    Returns:
        One line.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
