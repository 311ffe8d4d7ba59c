"""What the results in a folder were made of and by, so that those of something else are not kept for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import naming
from .reading import file_state

__all__ = ["Records", "differences"]

NAME = ".made_of.jsonl"
"""File beside the results with a line for each that was written; of two lines of one result the last one holds."""


class Records:
    """What is known of the results in a folder.

    A result that changed since it was written, as when a person corrected it, has no record any more.

    Args:
        folder: of the results, which need not be there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / NAME
        self._known: dict[str, dict[str, Any]] = {}
        try:
            lines = self.path.read_text().splitlines()
        except (OSError, ValueError):
            lines = []
        for line in lines:
            try:
                record = json.loads(line)
                self._known[record["result"]] = record
            except (ValueError, KeyError, TypeError):
                continue  # a disk that was full cut it off

    def made_of(self, result: Path) -> dict[str, Any] | None:
        """Tell what a result that is there was made of, see `scripts.io.made_of`; None where that is not known."""
        record = self._known.get(result.name)
        return record["made_of"] if record and record["state"] == _state(result) else None

    @staticmethod
    def add(result: Path, made_of: Mapping[str, Any]) -> None:
        """Note what a result was made of.

        Args:
            result: file that is written.
            made_of: see `scripts.io.made_of`.

        Raises:
            OSError: it cannot be written.
        """
        line = json.dumps({"result": result.name, "state": _state(result), "made_of": made_of}) + "\n"
        path = result.parent / NAME
        # one call for a whole line, since other processes may append theirs; all of them at each section would be slow
        with naming(path), open(path, "ab", buffering=0) as file:
            file.write(line.encode())


def _state(result: Path) -> list[int]:
    """What changes when a result is written anew."""
    return list(file_state(result)[2:])


def differences(known: Any, wanted: Any, keys: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Find what results were made of or by, and are not any more.

    Args:
        known: as JSON holds it, such as `scripts.io.made_of`.
        wanted: likewise.
        keys: that lead to both.

    Returns:
        The keys that lead to each difference, for instance ``[("source",), ("made_by", "threshold")]``.
    """
    if not (isinstance(known, Mapping) and isinstance(wanted, Mapping)):
        return [] if known == wanted else [keys]
    return [
        difference
        for key in dict.fromkeys((*wanted, *known))
        for difference in differences(known.get(key), wanted.get(key), (*keys, key))
    ]
