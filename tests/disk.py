"""A disk that is full."""

from __future__ import annotations

import gc
import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr


@contextmanager
def files_no_longer_than(length: int) -> Iterator[None]:
    """Let the system refuse to write more to a file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    gc.freeze()  # only what is made from here on is looked through below
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, hard))
    try:
        with redirect_stderr(io.StringIO()):  # progress bars may be caught in a file, and are none that is meant
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        gc.collect()  # what was left open is closed now, not while another test runs
        gc.unfreeze()
