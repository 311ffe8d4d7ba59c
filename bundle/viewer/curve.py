"""The loss of a training while it runs."""

from __future__ import annotations

from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

__all__ = ["LossCurve"]

SMOOTHING = 0.9


class LossCurve(QWidget):
    """A line, smoothed, from 0 to the largest loss so far."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(80)
        self.values: list[float] = []

    def clear(self) -> None:
        """Begin anew."""
        self.values = []
        self.update()

    def add(self, loss: float) -> None:
        """Add a step.

        Args:
            loss: of it.
        """
        last = self.values[-1] if self.values else loss
        self.values.append(SMOOTHING * last + (1 - SMOOTHING) * loss)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor("#56b4e9"), 2))
        if len(self.values) > 1:
            across = (self.width() - 2) / (len(self.values) - 1)
            down = (self.height() - 2) / (max(self.values) or 1)
            points = [QPointF(1 + i * across, self.height() - 1 - v * down) for i, v in enumerate(self.values)]
            painter.drawPolyline(QPolygonF(points))
        painter.setPen(QColor("gray"))
        text = f"loss {self.values[-1]:.3f}" if self.values else "loss"
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop, text)
        painter.end()
