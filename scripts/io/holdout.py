"""Division of labelled sections into parts for training and for validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .checks import read_label
from .reading import read_header

__all__ = ["holdout_split"]


def holdout_split(
    sections: Sequence[dict], share: float, known: Mapping[str, Sequence[int]] | None = None
) -> tuple[list[dict], list[dict]]:
    """Hold out a part of each labelled section for validation, so that even one section can be trained on.

    The part is a strip along the border on which the share of mitochondria is most like that of the whole section, of
    those strips that leave mitochondria on both sides, if there are any.

    Args:
        sections: items with an `image` and its `label`, whole.
        share: of the area of each section, between 0 and 1.
        known: regions that were held out before, by the name of the image's file; they are held out again where they
            are a strip of this share.

    Returns:
        The items for training and those for validation, each with a `region`.

    Raises:
        ValueError: an image is a stack, a label is damaged or has another size than its image, or nothing that is held
            out is labelled as mitochondrion.
    """
    training, validation, mitochondria = [], [], 0
    for section in sections:
        info = read_header(section["image"])
        if info.pages > 1:
            raise ValueError(f"{section['image']}: is a stack of {info.pages} sections where one section is expected")
        label = read_label(section) == 1  # what is not known is no mitochondrion here
        width, height = label.shape
        if (width, height) != (info.width, info.height):
            raise ValueError(
                f"{section['label']}: has {width}x{height} pixels, its section {section['image']} "
                f"{info.width}x{info.height}"
            )
        x, y = (min(max(1, round(share * length)), length - 1) for length in (width, height))
        strips = {  # the strip, and what is left
            (0, 0, x, height): (x, 0, width, height),
            (width - x, 0, width, height): (0, 0, width - x, height),
            (0, 0, width, y): (0, y, width, height),
            (0, height - y, width, height): (0, 0, width, height - y),
        }
        held = tuple((known or {}).get(Path(section["image"]).name, ()))
        if held not in strips:

            def distance(strip: tuple, strips: dict = strips, label: np.ndarray = label) -> tuple[bool, float]:
                here, there = (label[left:right, top:low] for left, top, right, low in (strip, strips[strip]))
                return not (here.any() and there.any()), abs(here.mean() - label.mean())

            held = min(strips, key=distance)
        left, top, right, low = held
        mitochondria += np.count_nonzero(label[left:right, top:low])
        training.append({**section, "page": 0, "region": list(strips[held])})
        validation.append({**section, "page": 0, "region": list(held)})
    if sections and not mitochondria:
        raise ValueError(
            f"{sections[0]['label']}{' and others' if len(sections) > 1 else ''}: there are no mitochondria in the "
            f"{share:.0%} held out for validation, so nothing could tell good weights from bad ones; hold out a larger "
            "share, or label another section"
        )
    return training, validation
