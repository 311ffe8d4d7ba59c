"""Pictures warped between the frames of the sections and the aligned stack, such as labels and segmentations."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from scripts.io import Section, find_sections, read_section, require_writable, split_suffix, write_section
from scripts.registration import INTERPOLATIONS, Transformation, warp, warp_inverse

from .names import owner, section_names

__all__ = ["DIRECTIONS", "warp_files"]

logger = logging.getLogger(__name__)

DIRECTIONS = ("inverse", "forward")


@dataclass(frozen=True)
class _Job:
    section: Section
    transformation: Path
    aligned_size: tuple[int, int]
    target: Path


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
        transformations_dir: ``transformations`` of the output of `StackAlignment`.
        output_dir: folder of the results, of the same names.
        direction: ``"inverse"`` brings pictures of the aligned stack to the frames of the sections, ``"forward"``
            pictures of the sections into the aligned stack.
        interpolation: ``"nearest"`` for labels, ``"cubic"`` for grey levels.
        overwrite: whether to replace results that exist; otherwise they are left as they are.

    Raises:
        FileNotFoundError: there is nothing to warp, or no transformation that belongs to a file.
        ValueError: a setting is unknown, or a file has another size than its section or than the aligned stack.
    """
    for name, value, choices in (
        ("direction", direction, DIRECTIONS),
        ("interpolation", interpolation, INTERPOLATIONS),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, but got {value!r}")
    jobs = _jobs(source, Path(transformations_dir), Path(output_dir), direction)
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


def _jobs(
    source: str | Path | Sequence[str | Path], transformations_dir: Path, output_dir: Path, direction: str
) -> list[_Job]:
    """All that is to be done, after a look at every file."""
    known = {file.stem: file for file in transformations_dir.glob("*.npz")}
    if not known:
        raise FileNotFoundError(f"{transformations_dir}: holds no transformations (.npz)")
    sections = find_sections(source)
    jobs = []
    for section, name in zip(sections, section_names(sections), strict=True):
        image = section.path
        belongs_to = owner(section, known)
        if belongs_to is None:
            raise FileNotFoundError(f"{image}: there is no transformation of its section in {transformations_dir}")
        section_size, aligned_size = Transformation.load_sizes(known[belongs_to])
        frame, expected = ("aligned stack", aligned_size) if direction == "inverse" else ("section", section_size)
        if (section.width, section.height) != expected:
            raise ValueError(
                f"{image}: must have the size of the {frame}, {expected[0]}x{expected[1]} pixels, but got "
                f"{section.width}x{section.height}"
            )
        if output_dir.resolve() == Path(image).resolve().parent:
            raise ValueError(f"{output_dir}: the output folder holds the file {image}; choose another one")
        suffix = ".png" if split_suffix(image)[1] == ".png" else ".tif"
        jobs.append(_Job(section, known[belongs_to], aligned_size, output_dir / f"{name}{suffix}"))
    return jobs
