"""The mitochondria of a stack as a table."""

from __future__ import annotations

import csv
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem, QWidget

__all__ = ["ObjectTable", "read_places"]


class _Number(QTableWidgetItem):
    """Sorted by its value, not by its text."""

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return float(self.text() or "nan") < float(other.text() or "nan")


class ObjectTable(QTableWidget):
    """The rows of ``mitochondria.csv``.

    Signals:
        chosen: with the number of the mitochondrion whose row was selected.

    Args:
        parent: of the widget, in Qt.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.itemSelectionChanged.connect(self._announce)

    def show_file(self, path: Path) -> None:
        """Show a file.

        Args:
            path: ``mitochondria.csv`` of `run objects`.
        """
        with open(path, newline="") as file:
            header, *rows = csv.reader(file)
        self.blockSignals(True)
        self.setSortingEnabled(False)
        self.clear()
        self.setColumnCount(len(header))
        self.setHorizontalHeaderLabels(header)
        self.setRowCount(len(rows))
        for row, values in enumerate(rows):
            for column, value in enumerate(values):
                self.setItem(row, column, _Number(value))
        self.setSortingEnabled(True)
        self.blockSignals(False)

    def select(self, number: int) -> None:
        """Select the row of a mitochondrion, without announcing it.

        Args:
            number: of the mitochondrion, the first column.
        """
        for row in range(self.rowCount()):
            if self.item(row, 0).text() == str(number):
                self.blockSignals(True)
                self.selectRow(row)
                self.blockSignals(False)
                self.scrollToItem(self.item(row, 0))
                return

    def selected(self) -> int | None:
        """Give the number of the mitochondrion whose row is selected, or None."""
        rows = self.selectionModel().selectedRows() if self.selectionModel() else []
        return int(self.item(rows[0].row(), 0).text()) if rows else None

    def _announce(self) -> None:
        number = self.selected()
        if number is not None:
            self.chosen.emit(number)


def read_places(path: Path) -> dict[int, tuple[int, float, float]]:
    """Tell where each mitochondrion is largest.

    Args:
        path: ``profiles.csv`` of `run objects`.

    Returns:
        Section, y and x of the centroid of its largest profile, by its number; micrometres or, where no pixel size is
        known, pixels.
    """
    places: dict[int, tuple[float, tuple[int, float, float]]] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            unit = "um" if "centroid_x_um" in row else "px"
            area = float(row[f"area_{unit}2"])
            place = int(row["section"]), float(row[f"centroid_y_{unit}"]), float(row[f"centroid_x_{unit}"])
            number = int(row["object"])
            if number not in places or area > places[number][0]:
                places[number] = area, place
    return {number: place for number, (_, place) in places.items()}
