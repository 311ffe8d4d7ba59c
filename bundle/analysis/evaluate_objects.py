"""How well mitochondria were found, one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.instances import ObjectScores
from scripts.io import Section, find_sections, read_section, write_json

__all__ = ["evaluate_objects"]


def evaluate_objects(truth: str, found: str, output: str | None = None) -> str:
    """Score numbered mitochondria against true ones, within sections and through the stack.

    Args:
        truth: true numbers, the same through all sections: a folder or a stack. 0 is background.
        found: numbers to be scored, such as the instances of `run objects`, of as many sections in the same order.
        output: JSON file for the figures.

    Returns:
        A table in Markdown; see `scripts.instances.ObjectScores`.

    Raises:
        ValueError: the two differ in their number of sections or in size, or hold something else than whole numbers.
        FileNotFoundError: there are no such files.
    """
    true_sections, found_sections = find_sections(truth), find_sections(found)
    if len(true_sections) != len(found_sections):
        raise ValueError(f"{found}: must hold {len(true_sections)} sections as {truth}, but got {len(found_sections)}")
    flat, through = ObjectScores(), ObjectScores()
    for one, other in zip(true_sections, found_sections, strict=True):
        pair = _numbers(one), _numbers(other)
        if pair[0].shape != pair[1].shape:
            raise ValueError(f"{other.path}: must be of {pair[0].shape} pixels as {one.path}, but got {pair[1].shape}")
        flat.add(*pair, separate=True)
        through.add(*pair)
    figures = {"sections": flat.compute(), "stack": through.compute()}
    if output is not None:
        known = {
            kind: {key: None if value != value else value for key, value in scores.items()}
            for kind, scores in figures.items()
        }
        write_json(Path(output), known)
    lines = ["| | within sections | through the stack |", "| --- | --- | --- |"]
    lines += [
        f"| {name.replace('_', ' ')} | {_text(value)} | {_text(figures['stack'][name])} |"
        for name, value in figures["sections"].items()
    ]
    return "\n".join(lines)


def _numbers(section: Section) -> NDArray[np.integer]:
    pixels = read_section(section)
    if pixels.dtype.kind not in "iub" and (pixels != np.floor(pixels)).any():
        raise ValueError(f"{section.path}: must hold whole numbers, but got pixels of type {pixels.dtype}")
    return pixels if pixels.dtype == np.uint64 else pixels.astype(np.int64)


def _text(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"
