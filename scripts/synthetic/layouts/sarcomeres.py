"""Myofibrils cut along, and the rows of mitochondria between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..canvas import Canvas, Shape
from ..mitochondria import MitochondriaStyle
from ..organelles import Palette

__all__ = ["Sarcomeres"]


@dataclass
class Sarcomeres:
    """Myofibrils in coordinates along (u) and across (v) the fibres, which a slow wave bends. Lengths in nm.

    The wave is the same for all fibres, so that what is parallel stays so.
    """

    origin: NDArray[np.floating]
    angle: float
    amplitude: float
    wavelength: float
    phase: float
    length: float
    a_band: float
    h_zone: float
    a_level: float
    i_level: float
    z_level: float
    z_width: float

    @classmethod
    def random(cls, canvas: Canvas, rng: np.random.Generator, palette: Palette) -> Sarcomeres:
        """Draw the parameters of a section."""
        span = palette.cytoplasm - palette.membrane
        return cls(
            origin=np.array(canvas.extent) / 2,
            angle=rng.uniform(0, np.pi),
            amplitude=rng.uniform(0, 250),
            wavelength=rng.uniform(5000, 15000),
            phase=rng.uniform(0, 6),
            length=rng.uniform(1500, 2600),
            a_band=rng.uniform(0.5, 0.8),
            h_zone=rng.uniform(0, 0.3),
            a_level=palette.cytoplasm - rng.uniform(0.1, 0.5) * span,
            i_level=palette.cytoplasm + rng.uniform(-0.1, 0.3) * (250 - palette.cytoplasm),
            z_level=palette.membrane + rng.uniform(-0.1, 0.25) * span,
            z_width=rng.uniform(40, 110),
        )

    def to_section(self, u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.floating]:
        """Turn u and v into (x, y)."""
        v = v + self.amplitude * np.sin(2 * np.pi * u / self.wavelength + self.phase)
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return self.origin + np.stack([cosine * u - sine * v, sine * u + cosine * v], axis=-1)

    def draw(
        self, canvas: Canvas, rng: np.random.Generator, palette: Palette, v: float, thickness: float, reach: float
    ) -> None:
        """Draw the myofibril from v to v + thickness: I and A bands, H zones, Z and M lines, filaments."""
        edge = np.linspace(-reach, reach, 60)
        wave = 0.05 * thickness * np.sin(edge / 400 + rng.uniform(0, 6))
        self._fill(canvas, (edge, v + wave), (edge, v + thickness + wave), self.i_level)
        across = np.linspace(0.02, 0.98, 6) * thickness + v
        tilt = rng.normal(0, 0.05) * (across - across.mean())
        shift = rng.normal(0, 0.12) * self.length
        for u in np.arange(-reach - self.length, reach + self.length, self.length) + shift:
            for width, level in (
                (self.a_band * self.length, self.a_level),
                (self.h_zone * self.length, 0.6 * self.a_level + 0.4 * self.i_level),
                (40.0 if self.h_zone > 0.05 else 0.0, self.a_level - 12),
            ):
                if width > 30:
                    self._fill(canvas, (u - width / 2 + tilt, across), (u + width / 2 + tilt, across), level)
            line = self.to_section(u + self.length / 2 + tilt + rng.normal(0, 12, 6), across)
            canvas.lines([line], self.z_level, self.z_width * rng.uniform(0.8, 1.2))
        count = max(2, int(thickness / rng.uniform(25, 60)))
        level = 0.7 * self.a_level + 0.3 * palette.membrane
        along = np.linspace(-reach, reach, 40)
        for place in v + thickness * (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count:
            filament = self.to_section(along, place + rng.normal(0, 2, 40))
            canvas.lines([filament], level if rng.random() < 0.8 else self.i_level, 4)

    def _fill(self, canvas: Canvas, left: tuple, right: tuple, level: float) -> None:
        canvas.polygon(np.concatenate([self.to_section(*left), self.to_section(*right)[::-1]]), level)

    def mitochondria(
        self, rng: np.random.Generator, style: MitochondriaStyle, v: float, gap: float, reach: float
    ) -> list[Shape]:
        """Rows of mitochondria that fill the gap from v to v + gap, one after the other, swollen against each other."""
        shapes: list[Shape] = []
        if gap < 150:
            return shapes
        lanes = max(1, round(gap / (2 * style.radius * rng.uniform(0.8, 1.3)))) if gap > 2.2 * style.radius else 1
        width = gap / lanes
        for lane in range(lanes):
            u = -reach + rng.uniform(0, 800)
            while u < reach:
                if rng.random() < 0.06:
                    u += rng.uniform(100, 900)
                    continue
                longest = max(width, 2 * style.radius) * style.elongation**0.7
                length = np.clip(rng.lognormal(0, 0.35) * longest, 0.7 * width, 3 * self.length)
                shapes.append(self._mitochondrion(rng, u + length / 2, v + (lane + 0.5) * width, length, width))
                u += length + (rng.uniform(0, 25) if rng.random() < 0.8 else rng.uniform(25, 300))
        return shapes

    def _mitochondrion(self, rng: np.random.Generator, u: float, v: float, length: float, width: float) -> Shape:
        half_u, half_v = length / 2, width / 2 - rng.uniform(2, 14)
        theta = np.linspace(0, 2 * np.pi, 44, endpoint=False)
        power = rng.uniform(0.45, 0.95)  # below 1: the corners fill the room between neighbours
        along = half_u * np.sign(np.cos(theta)) * np.abs(np.cos(theta)) ** power
        across = half_v * np.sign(np.sin(theta)) * np.abs(np.sin(theta)) ** power
        across *= 1 + 0.08 * np.sin(along / half_u * rng.uniform(1, 4) + rng.uniform(0, 6))
        middle = self.to_section(u + np.linspace(-1, 1, 7) * half_u, np.full(7, v))
        return Shape(outlines=[self.to_section(u + along, v + across)], axis=middle)
