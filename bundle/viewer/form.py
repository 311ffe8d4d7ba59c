"""Buttons, progress and messages of the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from .curve import LossCurve
from .table import ObjectTable

__all__ = ["Form"]

Action = tuple[str, Callable[[], None]]
"""The text of a button, and what it does."""


class Form(QWidget):
    """A column of groups; what a button does may fail, and the message says why.

    Attributes:
        steps: of teaching.
        minutes: of teaching, at most.
        thickness: of a section in nanometres, 0 where it is not known.
        curve: the loss.
        score: what was taught, in words.
        table: of mitochondria.
        progress: of what runs.
        message: what the person is told.
        buttons: all of them but that which cancels, by their texts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps = QSpinBox(minimum=10, maximum=100_000, value=200, suffix=" steps")
        self.minutes = QDoubleSpinBox(minimum=0, maximum=10_000, value=10, suffix=" minutes at most", decimals=0)
        self.minutes.setSpecialValueText("as long as it takes")
        self.thickness = QDoubleSpinBox(minimum=0, maximum=1000, suffix=" nm thick", decimals=0)
        self.thickness.setSpecialValueText("thickness not known")
        self.curve, self.table, self.score = LossCurve(), ObjectTable(), QLabel(wordWrap=True)
        self.curve.setVisible(False)
        self.table.setMinimumHeight(160)
        self.buttons: dict[str, QPushButton] = {}
        self.progress = QProgressBar(visible=False)
        self.stop = QPushButton("Cancel", visible=False)
        self.message = QLabel(wordWrap=True)

    def build(self, groups: dict[str, list[list[QWidget | Action]]], cancel: Callable[[], None]) -> None:
        """Lay it out.

        Args:
            groups: lines of widgets and buttons, by the title of their group.
            cancel: what ends what runs.
        """
        layout = QVBoxLayout(self)
        for title, lines in groups.items():
            group = QGroupBox(title)
            column = QVBoxLayout(group)
            for line in lines:
                row = QHBoxLayout()
                for entry in line:
                    row.addWidget(self._button(*entry) if isinstance(entry, tuple) else entry)
                column.addLayout(row)
            layout.addWidget(group)
        self.stop.clicked.connect(lambda: self.attempt(cancel))
        for widget in (self.progress, self.stop, self.message):
            layout.addWidget(widget)
        layout.addStretch()

    def _button(self, text: str, action: Callable[[], None]) -> QPushButton:
        self.buttons[text] = button = QPushButton(text)
        button.clicked.connect(lambda: self.attempt(action))
        return button

    def say(self, text: str, wrong: bool = False) -> None:
        """Tell the person something.

        Args:
            text: what.
            wrong: whether something went wrong.
        """
        self.message.setText(text)
        self.message.setStyleSheet("color: #d55e00" if wrong else "")

    def attempt(self, action: Callable[[], Any]) -> None:
        """Do something, and say what went wrong.

        Args:
            action: what a button does.
        """
        try:
            action()
        except (OSError, ValueError, RuntimeError) as error:
            self.say(str(error), wrong=True)

    def show_running(self, running: bool) -> None:
        """Show that something runs, and let nothing else be started; or that it has ended.

        Args:
            running: which of the two.
        """
        for button in self.buttons.values():
            button.setEnabled(not running)
        self.progress.setRange(0, 0)
        self.progress.setVisible(running)
        self.stop.setVisible(running)
