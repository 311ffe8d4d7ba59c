"""One picture of the whole way from sections to numbered mitochondria."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from skimage.measure import regionprops

from scripts.figures import colours_of, paint_instances, stretched
from scripts.io import Section, pixel_size_of, read_section, split_suffix, write_atomically
from scripts.stack import section_names

__all__ = ["draw_overview"]

WHOLE = 800
"""Pixels of the longer side of a section that is shown as a whole."""

PART = 700
"""Pixels of the side of what is shown in full."""

OUTLINE = (230 / 255, 159 / 255, 0)
"""Orange of Okabe and Ito, which stands out from grey for everyone."""


def draw_overview(
    sections: list[Section],
    aligned: list[Section],
    mask: NDArray[np.bool_],
    instances: NDArray[np.integer] | None,
    index: int,
    path: str | Path,
    pixel_size: float | list[float] | None = None,
) -> None:
    """Draw one section of a stack on its way: as imaged, aligned, outlined, with its mitochondria numbered.

    The first two parts show it in green over its neighbour in magenta, so that what lies on each other is grey; the
    others show the place with most mitochondria.

    Args:
        sections: the stack as it was imaged; where it was not aligned, the first two parts are left out.
        aligned: the stack that was segmented: what the registration wrote of them, or the same list.
        mask: bool (height, width), the mitochondria of `aligned[index]`.
        instances: (height, width), their numbers, 0 in the background; None leaves the last part out.
        index: of the section.
        path: picture to write, in the format of its suffix.
        pixel_size: in nanometres, for the scale bar; None takes what the section states.

    Raises:
        OSError: a file cannot be read or written.
    """
    section = aligned[index]
    pairs = []
    if len(aligned) > 1 and aligned is not sections:
        neighbour = aligned[index - 1 if index else 1]
        imaged = dict(zip(section_names(sections), sections, strict=True))
        names = [split_suffix(item.path)[0] for item in (section, neighbour)]
        pairs = [("as imaged, over its neighbour", [imaged[name] for name in names]), ("aligned", [section, neighbour])]
    part = _densest(mask, PART)
    grey = stretched(read_section(section).T[part])
    size = pixel_size_of(section, pixel_size)
    parts = len(pairs) + 1 + (instances is not None)
    figure, axes = plt.subplots(1, parts, figsize=(4 * parts, 4.3), layout="constrained", squeeze=False)
    for axis, (title, pair) in zip(axes[0], pairs, strict=False):
        _show(axis, _over_each_other(*(_whole(item) for item in pair)), title)
    axis = axes[0][len(pairs)]
    _show(axis, np.repeat(grey[..., None], 3, axis=-1), "mitochondria, outlined")
    if 0 < mask[part].mean() < 1:
        axis.contour(mask[part], [0.5], colors=[OUTLINE], linewidths=1.5)
    _scale_bar(axis, None if size is None else size[0])
    if instances is not None:
        numbers = instances[part]
        _show(
            axes[0][-1],
            paint_instances(grey, numbers, colours_of(int(numbers.max(initial=0)))),
            "numbered through the stack",
        )
        for profile in regionprops(numbers):
            y, x = profile.centroid
            axes[0][-1].text(x, y, str(profile.label), color="white", fontsize=7, ha="center", va="center")
    write_atomically(path, lambda partial: figure.savefig(partial, dpi=110))
    plt.close(figure)


def _whole(section: Section) -> NDArray[np.uint8]:
    """Read a section and make it smaller; of a large one, every so many pixels are enough to be averaged."""
    pixels = read_section(section).T
    factor = min(1.0, WHOLE / max(pixels.shape))
    height, width = (max(1, round(factor * n)) for n in pixels.shape)
    step = max(1, int(0.5 / factor))
    return cv2.resize(stretched(pixels[::step, ::step]), (width, height), interpolation=cv2.INTER_AREA)


def _over_each_other(section: NDArray[np.uint8], neighbour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a section in green over its neighbour in magenta; black is added where one of them is smaller."""
    shape = np.maximum(section.shape, neighbour.shape)
    green, magenta = (
        np.pad(g, [(0, n - m) for n, m in zip(shape, g.shape, strict=True)]) for g in (section, neighbour)
    )
    return np.stack([magenta, green, magenta], axis=-1)


def _densest(mask: NDArray[np.bool_], side: int) -> tuple[slice, slice]:
    """Find the square with most of a mask."""
    step = 8
    coarse = mask[::step, ::step].astype(np.float32)
    filled = uniform_filter(coarse, max(1, side // step), mode="constant")
    centre = step * np.array(np.unravel_index(filled.argmax(), filled.shape))
    starts = [int(np.clip(c - side // 2, 0, max(0, n - side))) for c, n in zip(centre, mask.shape, strict=True)]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _show(axis: Axes, picture: NDArray[np.uint8], title: str) -> None:
    axis.imshow(picture, interpolation="nearest")
    axis.set_title(title)
    axis.axis("off")


def _scale_bar(axis: Axes, pixel_size: float | None) -> None:
    if pixel_size is None:
        return
    width = axis.get_xlim()[1] * pixel_size / 1000
    micrometres = max((length for length in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if length < width / 3), default=0.1)
    bar = AnchoredSizeBar(
        axis.transData, 1000 * micrometres / pixel_size, f"{micrometres:g} µm", "lower right", sep=3, color="black"
    )
    axis.add_artist(bar)
