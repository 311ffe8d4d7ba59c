"""The microscope: what happens to an ideal section on its way to a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .fields import cut, smooth_field

__all__ = ["Imaging", "acquire"]

Grey = NDArray[np.float32]


@dataclass
class Imaging:
    """Parameters of a picture. Lengths in pixels, grey levels from 0 to 255.

    Args:
        blur: standard deviation of the focus.
        noise: standard deviation of white noise, before `detector_blur`.
        shot: part of the noise that grows with the root of the signal.
        detector_blur: standard deviation of a filter over the noisy picture (a smoothed or resampled picture).
        slow_noise: standard deviation of noise of a longer correlation.
        slow_length: its correlation length.
        low: grey level of the darkest 1 % of the ideal section.
        high: grey level of the brightest 1 %.
        gamma: of the curve between.
        shading: strength of slow changes of brightness.
        streaks: strength of the charging, as stripes along the scan lines.
        line_noise: standard deviation of the offset of each scan line.
        sharpening: strength of an unsharp mask.
        knife_marks: number of marks of the knife.
        chatter: strength of periodic bands across the cutting direction.
        precipitate: number of grains of stain in a megapixel.
        holes: number of holes in a megapixel.
        fold: whether a fold runs through the section.
        jpeg: quality of the compression, 0 for none.
    """

    blur: float
    noise: float
    shot: float
    detector_blur: float
    slow_noise: float
    slow_length: float
    low: float
    high: float
    gamma: float
    shading: float
    streaks: float
    line_noise: float
    sharpening: float
    knife_marks: int
    chatter: float
    precipitate: float
    holes: float
    fold: bool
    jpeg: int

    @classmethod
    def random(cls, rng: np.random.Generator) -> Imaging:
        """Draw the parameters."""

        def sometimes(probability: float, value: float) -> float:
            return value if rng.random() < probability else 0.0

        kind = rng.random()
        if kind < 0.08:  # nearly flat
            width = rng.uniform(20, 90)
        elif kind < 0.22:  # saturated at one end or both
            width = rng.uniform(230, 330)
        else:
            width = rng.uniform(130, 250)
        spare = 255 - width
        middle = 127.5 + rng.uniform(-0.5, 0.5) * abs(spare)
        noise = width * np.exp(rng.uniform(np.log(0.004), np.log(0.17)))
        return cls(
            blur=float(rng.uniform(0.25, 1.2)) if rng.random() < 0.9 else float(rng.uniform(1.2, 2.2)),
            noise=float(noise),
            shot=float(rng.random()),
            detector_blur=sometimes(0.5, float(rng.uniform(0.4, 1.1))),
            slow_noise=sometimes(0.5, float(width / 200 * rng.uniform(1, 12))),
            slow_length=float(rng.uniform(1.2, 4)),
            low=float(middle - width / 2),
            high=float(middle + width / 2),
            gamma=float(np.exp(rng.normal(0, 0.35))),
            shading=sometimes(0.6, float(rng.uniform(0.02, 0.13))),
            streaks=sometimes(0.12, float(rng.uniform(3, 14))),
            line_noise=sometimes(0.1, float(rng.uniform(0.3, 3))),
            sharpening=sometimes(0.25, float(rng.uniform(0.3, 1.5))),
            knife_marks=int(rng.integers(1, 4)) if rng.random() < 0.1 else 0,
            chatter=sometimes(0.05, float(rng.uniform(0.02, 0.08))),
            precipitate=sometimes(0.2, float(rng.uniform(4, 60))),
            holes=sometimes(0.08, float(rng.uniform(4, 20))),
            fold=bool(rng.random() < 0.04),
            jpeg=int(rng.integers(35, 92)) if rng.random() < 0.08 else 0,
        )

    def as_dict(self) -> dict[str, float]:
        """Return the parameters by name."""
        return asdict(self)


def acquire(
    ideal: NDArray[np.uint8], label: NDArray[np.uint8], imaging: Imaging, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image a section.

    Args:
        ideal: uint8 (rows, columns), grey levels of the ideal section.
        label: uint8 of the same shape, not 0 in mitochondria.
        imaging: parameters.
        rng: source of randomness.

    Returns:
        The picture, uint8, and the label, 0 where a fold hides the tissue.
    """
    shape = ideal.shape
    grey = ideal.astype(np.float32)
    _dirt(grey, imaging, rng)
    if imaging.fold:
        label = _fold(grey, label, rng)
    if imaging.blur > 0.2:
        grey = cv2.GaussianBlur(grey, (0, 0), imaging.blur)
    if imaging.sharpening > 0:
        soft = cv2.GaussianBlur(grey, (0, 0), imaging.blur + 1.0)
        grey = cv2.addWeighted(grey, 1 + imaging.sharpening, soft, -imaging.sharpening, 0)
    if imaging.shading > 0:
        field = smooth_field(rng, (6, 6), 2.0) + smooth_field(rng, (6, 6), 6.0)
        field = cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC)
        if rng.random() < 0.5:
            grey *= 1 + np.float32(imaging.shading) * field
        else:
            grey += np.float32(imaging.shading * 160) * field
    _marks(grey, imaging, rng)

    # the curve of grey levels rises everywhere: contrast is never inverted
    dark, bright = np.percentile(grey[::5, ::5], (1, 99))
    grey = np.clip((grey - np.float32(dark)) * np.float32(1 / max(bright - dark, 20)), -0.15, 1.15)
    np.multiply(grey + np.float32(0.15), np.float32(1 / 1.3), out=grey)
    if abs(imaging.gamma - 1) > 0.02:
        cv2.pow(grey, imaging.gamma, dst=grey)
    # the curve leaves the two percentiles where they are
    first, last = (0.15 / 1.3) ** imaging.gamma, (1.15 / 1.3) ** imaging.gamma
    gain = (imaging.high - imaging.low) / (last - first)
    grey = grey * np.float32(gain) + np.float32(imaging.low - gain * first)

    if imaging.noise > 0.3:
        noise = rng.standard_normal(shape, dtype=np.float32)
        if imaging.shot > 0.3:
            spread = max(imaging.high - imaging.low, 1.0)
            signal = np.clip((grey - np.float32(imaging.low)) / np.float32(spread), 0.03, 1)
            noise *= np.float32(1.4) * cv2.sqrt(signal)
        grey += np.float32(imaging.noise) * noise
    if imaging.detector_blur > 0:
        grey = cv2.GaussianBlur(grey, (0, 0), imaging.detector_blur)
    if imaging.slow_noise > 0:
        slow = cut("grain", rng, shape, imaging.slow_length / 2)
        grey += np.float32(imaging.slow_noise / 42) * (slow.astype(np.float32) - 128)
    if imaging.line_noise > 0:
        grey += (np.float32(imaging.line_noise) * rng.standard_normal((shape[0], 1))).astype(np.float32)
    picture = cv2.convertScaleAbs(np.maximum(grey, 0, out=grey))
    if imaging.jpeg:
        _, stream = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, imaging.jpeg])
        picture = cv2.imdecode(stream, cv2.IMREAD_GRAYSCALE)
    return picture, label


def _dirt(grey: Grey, imaging: Imaging, rng: np.random.Generator) -> None:
    megapixels = grey.size / 1e6
    for density, level, sizes in ((imaging.precipitate, 5.0, (0.6, 3.0)), (imaging.holes, 252.0, (1.0, 8.0))):
        for _ in range(rng.poisson(density * megapixels)):
            x, y = rng.integers(0, grey.shape[1]), rng.integers(0, grey.shape[0])
            for _ in range(rng.integers(1, 6)):
                dx, dy = rng.normal(0, 2.5, 2)
                cv2.circle(grey, (int(x + dx), int(y + dy)), int(rng.uniform(*sizes)), level, -1)


def _marks(grey: Grey, imaging: Imaging, rng: np.random.Generator) -> None:
    rows, columns = grey.shape
    angle = rng.uniform(0, np.pi)
    if imaging.knife_marks or imaging.chatter > 0:
        x = np.arange(columns, dtype=np.float32)[None] * np.float32(np.cos(angle))
        y = np.arange(rows, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
        along = x + y
    for _ in range(imaging.knife_marks):
        place = rng.uniform(float(along.min()), float(along.max()))
        width = rng.uniform(0.7, 5)
        profile = np.exp(-0.5 * np.square(np.arange(-40, 41) / width))
        distance = np.clip(np.rint(along - np.float32(place)), -40, 40).astype(np.int16) + 40
        grey += np.float32(rng.uniform(-50, 50)) * profile.astype(np.float32)[distance]
    if imaging.chatter > 0:
        grey *= 1 + np.float32(imaging.chatter) * np.sin(along * np.float32(2 * np.pi / rng.uniform(20, 150)))
    if imaging.streaks > 0:
        # charge builds up along a scan line and leaks away
        charge = cv2.blur(grey, (max(3, columns // 6) | 1, 1), borderType=cv2.BORDER_REPLICATE)
        charge -= cv2.GaussianBlur(charge, (0, 0), 8.0)
        grey += np.float32(imaging.streaks / 12) * np.clip(charge, -20, 20) * np.float32(rng.choice([-1, 1]))


def _fold(grey: Grey, label: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lay a dark band over the section; under it there is no truth."""
    rows, columns = grey.shape
    size = max(rows, columns)
    angle = rng.uniform(0, np.pi)
    t = np.linspace(-0.8, 0.8, 24) * size
    bend = rng.normal(0, 0.06) * size * (t / size * 2) ** 2 + rng.normal(0, 0.02) * size * np.sin(t / size * 9)
    centre = np.array([columns, rows]) * rng.uniform(0.15, 0.85, 2)
    cosine, sine = np.cos(angle), np.sin(angle)
    line = np.stack([centre[0] + cosine * t - sine * bend, centre[1] + sine * t + cosine * bend], axis=1)
    mask = np.zeros((rows, columns), np.uint8)
    width = int(max(3, size * rng.uniform(0.01, 0.06)))
    cv2.polylines(mask, [np.rint(line * 16).astype(np.int32)], False, 255, width, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.8, 3))
    depth = np.float32(rng.uniform(0.55, 0.95) / 255)
    grey *= 1 - depth * soft
    label = label.copy()
    label[mask > 127] = 0
    return label
