"""What is said of an error that MONAI wraps in others."""

from __future__ import annotations

import builtins
import contextlib
import io
import re
import sys
from types import TracebackType

__all__ = ["explain_errors", "first_cause"]


def first_cause(error: BaseException) -> BaseException:
    """Follow an error to the one that it was raised from, and so on to the first.

    An error of a process that loads data comes as the text of its traceback: it is followed into that text.

    Args:
        error: any error.

    Returns:
        The first cause, `error` itself if it has none.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return _cause_in_worker(str(error)) or error


def _cause_in_worker(text: str) -> BaseException | None:
    """Read the first cause from what torch's DataLoader says of an error in one of its processes."""
    report = re.match(r"Caught \S+ in DataLoader worker process \d+\.\nOriginal ([\s\S]*)", text)
    if report is None:
        return None
    first = report[1].split("\nThe above exception was the direct cause of the following exception:\n")[0]
    last = first.split("\nDuring handling of the above exception, another exception occurred:\n")[-1]
    # frames are indented; what follows them is the error, whose message may have several lines
    found = re.search(r"(?:^  .*\n|\A)([\w.]+)(?:: ([\s\S]*))?\Z", last.rstrip(), re.MULTILINE)
    if found is None:
        return None
    kind, message = found[1], found[2] or ""
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, Exception):
        with contextlib.suppress(TypeError):  # one that is not made of a message
            return known(message)
    return RuntimeError(f"{kind}: {message}")


def explain_errors() -> None:
    """Let the traceback of an uncaught error end with its first cause, and any name of a file be printed.

    MONAI wraps an error in one or more of its own, so that the last line says which entry of a config failed, not why.
    To be called as an expression in ``initialize``.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name of a file may have bytes that are no UTF-8
            stream.reconfigure(errors="backslashreplace")
    previous = sys.excepthook
    if getattr(previous, "explains", False):
        return  # several workflows in one process

    def explain(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        previous(kind, error, traceback)
        cause = first_cause(error)
        if cause is not error:
            print(f"\nCause: {type(cause).__name__}: {cause}", file=sys.stderr)

    explain.explains = True
    sys.excepthook = explain
