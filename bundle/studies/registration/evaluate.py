"""The command ``python -m bundle evaluate_registration``: what the registration recovers of known deformations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle.runs import hardware
from scripts.io import write_json, write_text
from scripts.weights import git_revision

from .folded_pair import folded_pair_figures
from .phantoms import phantom_rows
from .report import PARTS, markdown
from .segmentation import segmentation_rows
from .vnc import vnc_figures

__all__ = ["evaluate_registration"]


def evaluate_registration(
    output: str = "docs/results",
    parts: tuple[str, ...] = tuple(PARTS),
    folded: str = "../shared/data/folded_section",
    vnc: str = "data/drosophila_vnc",
    phantoms: int = 3,
    size: int = 1536,
) -> str:
    """Measure the registration against known deformations and on real sections.

    The parameters are those of ``configs/register.json``. Writes ``registration.json`` with all figures,
    ``registration.md`` with tables, and ``registration_folded.jpg``. Parts that are not asked for keep the figures of
    an earlier call.

    Args:
        output: folder of the results.
        parts: of ``phantoms`` (known deformations, smooth and with a fold, of the same tissue imaged again and of the
            section before; beside one affine model, plain moving least squares, and B-splines of elastix if itk-elastix
            is installed), ``folded`` (the real folded pair), ``vnc`` (a real stack, warped by known deformations, and
            as it is), and ``segmentation`` (of a misaligned stack: directly, or aligned first and the masks warped
            back).
        folded: folder with ``reference.png``, ``damaged.png`` and ``damage_mask.png`` of the real pair.
        vnc: the data of ``python -m bundle data vnc``.
        phantoms: how many tissues.
        size: width and height of the phantom sections in pixels.

    Returns:
        The tables.

    Raises:
        ValueError: a part is unknown, there are no phantoms, or the figures of other parts are damaged.
        FileNotFoundError: the data of a part is missing.
    """
    parts = (parts,) if isinstance(parts, str) else parts
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise ValueError(f"parts must be among {', '.join(PARTS)}, but got {', '.join(sorted(unknown))}")
    if type(phantoms) is not int or phantoms < 1:
        raise ValueError(f"phantoms must be a whole number from 1 on, but got {phantoms!r}")
    folder = Path(output)
    path = folder / "registration.json"
    try:
        figures = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"{path}: is damaged, remove it to measure all parts again: {error}") from None
    measure: dict[str, Callable[[], Any]] = {
        "phantoms": lambda: phantom_rows(phantoms, size),
        "folded": lambda: folded_pair_figures(Path(folded), folder / "registration_folded.jpg"),
        "vnc": lambda: vnc_figures(Path(vnc)),
        "segmentation": segmentation_rows,
    }
    for part in PARTS:
        if part in parts:
            figures[part] = {"figures": measure[part](), "machine": hardware(), "commit": git_revision()}
            write_json(path, figures)
    text = markdown(figures)
    write_text(folder / "registration.md", text)
    return text
