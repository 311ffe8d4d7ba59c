"""Checks of sections before hours are spent on them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableSequence, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from scripts.blank import blank_level

from .labels import IGNORE_INDEX, LABEL_FORMATS, binarize_label
from .reading import read_header, read_section
from .section import Section

__all__ = ["check_sections", "read_label", "read_mask"]

logger = logging.getLogger(__name__)


def check_sections(
    sections: Sequence[Mapping[str, Any]],
    allow_constant: bool = False,
    require_mitochondria: bool = False,
    leave_out_constant: bool = False,
    max_bytes: float = float("inf"),
) -> None:
    """Read every pixel once, so that a damaged section stops a run before it starts.

    Labels that are all background or all mitochondrion are warned of.

    Args:
        sections: of `load_sections` or `find_sections`, or items of a dataset.
        allow_constant: whether an image may be constant, or blank, see `scripts.blank.blank_level`.
        require_mitochondria: whether some pixel has to be labelled as mitochondrion, as where weights are chosen by it.
        leave_out_constant: whether to go on without such images, as long as there are others: they are taken out of
            `sections`, a list, and a warning names them. Pages of a stack stay, since its result needs all of them.
        max_bytes: the most that is read: of sections without labels that hold more, nothing is read but their headers,
            which was done when they were listed.

    Raises:
        ValueError: a file is damaged, an image is constant or blank where it must not be, has colours, NaN or infinite
            pixels, or a label or valid mask has other values than `binarize_label` knows; or no pixel is labelled where
            one has to be.
    """
    size = sum(_bytes(section) for section in sections)
    if size > max_bytes and not require_mitochondria and not any("label" in section for section in sections):
        logger.info(
            "%d sections of %.1f GB: more than %.1f GB, so only their headers were read before the start",
            len(sections),
            size / 1e9,
            max_bytes / 1e9,
        )
        return
    labelled, constant = False, []
    for section in tqdm(sections, desc="checking sections", unit="section", leave=False):
        page = section.get("page")
        image = _read_image(section, hand_on=True)
        level = None if allow_constant else blank_level(image)
        if level is not None:
            where = f"{section['image']}, page {page}" if page else section["image"]
            kind, pixels = ("constant", "all") if image.min() == image.max() else ("blank", "nearly all")
            reason = f"{where}: is a {kind} image, {pixels} its pixels are {level}"
            if not leave_out_constant:
                raise ValueError(f"{reason}; leave it out")
            constant.append((section, reason))
        if "valid" in section:
            binarize_label(read_section(section["valid"], page, hand_on=True), section["valid"])
        if "label" in section:
            left, top, right, bottom = section.get("region", (None,) * 4)
            label = read_label(section, page, hand_on=True)[left:right, top:bottom]
            mitochondria, background = bool((label == 1).any()), bool((label == 0).any())
            labelled |= mitochondria
            if not mitochondria and not background:
                raise ValueError(f"{section['label']}: no pixel has a label that is known; leave the section out")
            if not (mitochondria and background):
                kind = "mitochondrion" if mitochondria else "background"
                logger.warning("%s: all labelled pixels are %s", section["label"], kind)
    if constant:
        _leave_out(sections, constant)
    if require_mitochondria and not labelled:
        files = sorted({str(section.get("label")) for section in sections})
        raise ValueError(
            f"{files[0]}{' and others' if len(files) > 1 else ''}: no mitochondrion is labelled in the sections for "
            "validation, so nothing could tell good weights from bad ones"
        )


def _bytes(section: Mapping[str, Any]) -> int:
    header = section.header if isinstance(section, Section) else read_header(section["image"])
    return header.width * header.height * header.channels * np.dtype(header.dtype).itemsize


def _read_image(section: Mapping[str, Any], hand_on: bool) -> np.ndarray:
    return read_section(section["image"], section.get("page"), section.get("channel"), hand_on)


def _leave_out(sections: MutableSequence, constant: list[tuple[Mapping[str, Any], str]]) -> None:
    if len(constant) == len(sections):
        raise ValueError(f"{constant[0][1]}; no section is left")
    for section, reason in constant:
        if section.get("pages", 1) > 1:
            logger.warning("%s; nothing is found in it", reason)
        else:
            logger.warning("%s; it is left out, and has no result", reason)
            sections[:] = [other for other in sections if other is not section]


def read_label(section: Mapping[str, Any], page: int | None = None, hand_on: bool = False) -> np.ndarray:
    """Read the label of a section.

    Args:
        section: with a `label`, a `label_format` where it is no mask, and `ignore_value` or `known` where not all of
            it is known.
        page: of its stack, from 0.
        hand_on: see `scripts.io.read_section`.

    Returns:
        uint8 (width, height), 1 in mitochondria, `IGNORE_INDEX` where it is not known.

    Raises:
        ValueError: see `scripts.io.read_section` and `scripts.io.binarize_label`.
    """
    label = read_section(section["label"], page, hand_on=hand_on)
    label_format, ignored = section.get("label_format", LABEL_FORMATS[0]), section.get("ignore_value")
    binary = binarize_label(label, section["label"], label_format, ignored)
    if section.get("known") is not None:
        binary[~read_mask(section["known"], page)] = IGNORE_INDEX
    return binary


def read_mask(mask: str, page: int | None = None) -> np.ndarray:
    """Read a mask that goes with a section: where its label is known, or where there is a section at all.

    Args:
        mask: path of the mask, of one section or of as many as the stack.
        page: of the section in its stack, from 0.

    Returns:
        bool (width, height).

    Raises:
        ValueError: see `scripts.io.read_section` and `scripts.io.binarize_label`.
    """
    page = page if read_header(mask).pages > 1 else None
    return binarize_label(read_section(mask, page), mask) > 0
