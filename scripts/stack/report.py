"""What is said of each section of an aligned stack."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from scripts.io import write_json, write_text
from scripts.registration import Quality

__all__ = ["COLUMNS", "REPORTS", "SectionReport", "Status", "write_report"]

COLUMNS = ("section", "status", "message", *(entry.name for entry in fields(Quality)), "uncovered_fraction")
"""Of ``report.csv``."""
REPORTS = ("report.json", "report.csv")
"""What `write_report` writes."""


class Status(StrEnum):
    """What became of a section."""

    REFERENCE = "reference"
    """Its frame is that of the stack."""
    REGISTERED = "registered"
    """It was registered with its neighbours."""
    NOT_REGISTERED = "not_registered"
    """It could not be, and lies where its neighbours would have it."""


@dataclass
class SectionReport:
    """What is said of one section.

    Attributes:
        status: what became of it.
        message: why it was not registered.
        neighbours: names of the sections with which it was registered, or between which it was placed.
        quality: of the registration; lengths in pixels at which it was registered.
        uncovered_fraction: share of the aligned section where nothing of it comes to lie.
    """

    status: Status
    message: str = ""
    neighbours: list[str] = field(default_factory=list)
    quality: Quality | None = None
    uncovered_fraction: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SectionReport:
        """What `to_json` gave."""
        quality = content["quality"]
        return cls(**{**content, "status": Status(content["status"]), "quality": quality and Quality(**quality)})

    def row(self, scale: int) -> dict[str, Any]:
        """Columns of the report.

        Args:
            scale: pixels of the section for each pixel at which it was registered.
        """
        row = self.to_json()
        quality = row.pop("quality") or {}
        for key in ("residual_before", "residual_after"):
            if key in quality:
                quality[key] *= scale
        return {key: _rounded(value) for key, value in {**row, **quality}.items() if value is not None}


def write_report(
    folder: Path, rows: Sequence[Mapping[str, Any]], reference: str, size: tuple[int, int], scale: int
) -> None:
    """Write ``report.json`` and ``report.csv``.

    Args:
        folder: of the results.
        rows: one for each section, see `SectionReport.row`.
        reference: name of the reference.
        size: width and height of the aligned stack in pixels.
        scale: pixels of a section for each pixel at which it was registered.
    """
    content = {
        "reference": reference,
        "width": size[0],
        "height": size[1],
        "registration_scale": f"1/{scale}",
        "sections": list(rows),
    }
    as_json, as_table = (folder / name for name in REPORTS)
    write_json(as_json, content)
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(as_table, table.getvalue())


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    return value
