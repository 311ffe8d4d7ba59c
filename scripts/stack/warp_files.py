"""Pictures warped between the frames of the sections and the aligned stack, such as labels and segmentations."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scripts.io import (
    Section,
    content_state,
    find_sections,
    lies_in,
    read_section,
    require_writable,
    split_suffix,
    write_section,
)
from scripts.io.records import Records, differences
from scripts.registration import INTERPOLATIONS, Transformation, warp, warp_inverse

from .names import owner, plane_owner, section_names
from .store import VOLUMES, plane_names

__all__ = ["DIRECTIONS", "warp_files"]

logger = logging.getLogger(__name__)

DIRECTIONS = ("inverse", "forward")


@dataclass(frozen=True)
class _Job:
    section: Section
    transformation: Path
    aligned_size: tuple[int, int]
    target: Path
    made_of: dict[str, Any]


def warp_files(
    source: str | Path | Sequence[str | Path],
    transformations_dir: str | Path,
    output_dir: str | Path,
    direction: str = "inverse",
    interpolation: str = "nearest",
    overwrite: bool = False,
) -> None:
    """Warp pictures by the transformations of their sections.

    Args:
        source: what to warp: a folder, a glob pattern, one file or several. Files are named as the aligned sections, or
            as these with something appended (``section_07_mitochondria.tif``); pages of a stack as ``<stack>_<page>``.
            Masks of a volume of aligned sections are named as it (``images_mitochondria.tif``), their results as the
            sections.
        transformations_dir: ``transformations`` of the output of `StackAlignment`.
        output_dir: folder of the results, of the same names.
        direction: ``"inverse"`` brings pictures of the aligned stack to the frames of the sections, ``"forward"``
            pictures of the sections into the aligned stack.
        interpolation: ``"nearest"`` for labels, ``"cubic"`` for grey levels.
        overwrite: whether to replace results that exist; otherwise they are left as they are. What they were made of
            is kept beside them, see `scripts.io.records.Records`.

    Raises:
        FileExistsError: a result is of another picture, transformation, direction or interpolation, and `overwrite` is
            false.
        FileNotFoundError: there is nothing to warp, or no transformation that belongs to a file.
        ValueError: a setting is unknown, or a file has another size than its section or than the aligned stack.
    """
    for name, value, choices in (
        ("direction", direction, DIRECTIONS),
        ("interpolation", interpolation, INTERPOLATIONS),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, but got {value!r}")
    jobs = _jobs(source, Path(transformations_dir), Path(output_dir), direction, interpolation)
    if not overwrite:
        _refuse_others(jobs, Path(output_dir))
    require_writable(output_dir)
    for job in tqdm(jobs, desc="warping", unit="picture"):
        if job.target.exists() and not overwrite:
            logger.info("%s exists and is left as it is", job.target)
            continue
        transformation = Transformation.load(job.transformation)
        pixels = read_section(job.section)
        if direction == "inverse":
            warped, _ = warp_inverse(pixels, transformation, interpolation)
        else:
            warped, _ = warp(pixels, transformation, job.aligned_size, interpolation)
        write_section(job.target, warped, like=job.section)
        Records.add(job.target, job.made_of)


def _jobs(
    source: str | Path | Sequence[str | Path],
    transformations_dir: Path,
    output_dir: Path,
    direction: str,
    interpolation: str,
) -> list[_Job]:
    """All that is to be done, after a look at every file."""
    known = {file.stem: file for file in transformations_dir.glob("*.npz")}
    if not known:
        raise FileNotFoundError(f"{transformations_dir}: holds no transformations (.npz)")
    sections, planes = find_sections(source), plane_names(transformations_dir)
    jobs, states = [], {path: content_state(path) for path in {section.path for section in sections}}
    for section, name in zip(sections, section_names(sections), strict=True):
        image = section.path
        belongs_to = owner(section, known)
        if belongs_to is None:
            belongs_to, name = plane_owner(section, planes, VOLUMES["images"]) or (None, name)
        if belongs_to not in known:
            raise FileNotFoundError(f"{image}: there is no transformation of its section in {transformations_dir}")
        section_size, aligned_size = Transformation.load_sizes(known[belongs_to])
        frame, expected = ("aligned stack", aligned_size) if direction == "inverse" else ("section", section_size)
        if (section.width, section.height) != expected:
            raise ValueError(
                f"{image}: must have the size of the {frame}, {expected[0]}x{expected[1]} pixels, but got "
                f"{section.width}x{section.height}"
            )
        if lies_in(image, output_dir):
            raise ValueError(f"{output_dir}: the output folder holds the file {image}; choose another one")
        suffix = ".png" if split_suffix(image)[1] == ".png" else ".tif"
        found = os.stat(known[belongs_to])
        made_of = {
            "source": [Path(image).name, section.page, states[image]],  # not its folder, which may be moved
            "transformation": [found.st_size, found.st_mtime_ns],
            "direction": direction,
            "interpolation": interpolation,
        }
        made_of = json.loads(json.dumps(made_of))  # as it is read again
        jobs.append(_Job(section, known[belongs_to], aligned_size, output_dir / f"{name}{suffix}", made_of))
    return jobs


def _refuse_others(jobs: Sequence[_Job], output_dir: Path) -> None:
    """Refuse to go on beside results that were made of something else; of those without a record nothing is known."""
    records = Records(output_dir)
    for job in jobs:
        found = records.made_of(job.target) if job.target.exists() else None
        if found is not None and (differing := differences(found, job.made_of)):
            raise FileExistsError(
                f"{job.target}: must be made of what is warped now, but differs in "
                f"{' and '.join(keys[-1] for keys in differing)}; choose another --output_dir, or replace the results "
                "by --overwrite True"
            )
