"""The whole way from a stack of sections to numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bundle.analysis.overview import draw_overview
from bundle.runs import reject_overrides, run, settings_for
from scripts.io import ALIGNED_LIST, Section, find_sections, read_section, require_writable, result_path, write_text

__all__ = ["analyze"]

README = """What is here

overview.jpg                 one section on its way, at a glance
objects/report.html          to be read first: overlays to page through, distributions, every number
objects/*_instances.tif      numbers of mitochondria, the same through all sections; opens in Fiji and napari
objects/mitochondria.csv     one row per mitochondrion, units in the header
objects/profiles.csv         one row per outline in one section
objects/columns.md           what each column is, how it is estimated, and its known bias
objects/summary.json         densities, fractions and distributions, with the settings
objects/rois.zip             outlines for Fiji's ROI manager
segmented/                   masks (255 is mitochondrion) and probabilities of each section
{aligned}
{settings}
A run that was interrupted goes on if the same command is given again.
"""
ALIGNED = "aligned/                     sections in one frame, with a report and a picture of each pair\n"


def analyze(
    stack: str,
    output_dir: str = "results",
    pixel_size: float | list[float] | None = None,
    section_thickness: float | None = None,
    align: bool = True,
    **settings: Any,
) -> str:
    """Align, segment, number and measure a stack, each stage as its own config does.

    Stages that are done are not done again, so the command can be given once more after an interruption.
    Probabilities are averaged with those of neighbouring sections (`--smoothing`) if the stack was aligned here.

    Args:
        stack: the sections: a folder, a glob pattern, one stack, or a list of sections.
        output_dir: folder of the results; its README.txt says what is what.
        pixel_size: in nanometres, one number or [x, y].
        section_thickness: in nanometres.
        align: whether to register the sections first; not for one section, or a stack that is registered already.
        **settings: of the configs register, inference and objects, such as `checkpoint`; each goes to those that know
            it.

    Returns:
        Where the report and the picture of the whole way are.

    Raises:
        ValueError: no config knows a setting, or a config refuses its settings.
        RuntimeError: from the configs, with the cause chained.
        OSError: a file cannot be read or written.
    """
    if not isinstance(align, bool):
        raise ValueError(f"align must be True or False, but got {align!r}")
    reject_overrides(settings, "dataset_dir", "sections_dir", "save_probability", "name")
    imaged = find_sections(stack, settings.get("channel"), results=False)
    align = align and len(imaged) > 1
    folder = Path(output_dir).resolve()
    require_writable(folder)
    sections, masks = str(stack), str(folder / "segmented")
    if align:
        settings = {"smoothing": 0.25, **settings}
    own = _own_settings(settings, ["register"] * align + ["inference", "objects"])
    stages = 2 + align
    if align:
        print(f"1/{stages} aligning: {folder / 'aligned'}", flush=True)
        run(
            "register",
            run_id="registration",
            **own["register"],
            dataset_dir=sections,
            output_dir=str(folder / "aligned"),
            pixel_size=pixel_size,
        )
        sections = str(folder / "aligned" / ALIGNED_LIST)  # their names may not show their order
        for stage in ("inference", "objects"):
            own[stage].pop("channel", None)  # aligned sections have the chosen one alone
    print(f"{stages - 1}/{stages} segmenting: {masks}", flush=True)
    files = {"dataset_dir": sections, "output_dir": masks, "save_probability": True}
    run("inference", run_id="inference", **own["inference"], **files, pixel_size=pixel_size)
    print(f"{stages}/{stages} numbering and measuring: {folder / 'objects'}", flush=True)
    run(
        "objects",
        run_id="objects",
        **own["objects"],
        dataset_dir=masks,
        sections_dir=sections,
        output_dir=str(folder / "objects"),
        name=Path(stack).resolve().stem if Path(stack).exists() else "stack",
        pixel_size=pixel_size,
        section_thickness=section_thickness,
    )
    _draw(folder, imaged, sections if align else None, pixel_size)
    given = {"pixel_size": pixel_size, "section_thickness": section_thickness, "align": align, **settings}
    _write_readme(folder, stack, given)
    return f"Report: {folder / 'objects' / 'report.html'}\nAt a glance: {folder / 'overview.jpg'}"


def _draw(folder: Path, imaged: list[Section], aligned: str | None, pixel_size: float | list[float] | None) -> None:
    """Draw the section in the middle, unless the picture is that of these objects already."""
    picture, summary = folder / "overview.jpg", folder / "objects" / "summary.json"
    if picture.is_file() and picture.stat().st_mtime_ns > summary.stat().st_mtime_ns:
        return
    segmented = imaged if aligned is None else find_sections(aligned)
    masks = [result_path(section.path, folder / "segmented", "mitochondria") for section in segmented]
    there = [place for place, mask in enumerate(masks) if mask.is_file()]  # constant sections have none
    middle = len(there) // 2
    index = there[middle]
    numbers = next((folder / "objects").glob("*_instances.tif"), None)  # not where a volume has them
    draw_overview(
        imaged,
        segmented,
        read_section(masks[index], segmented[index].page).T > 0,
        None if numbers is None else read_section(numbers, middle).T,
        index,
        picture,
        pixel_size,
    )


def _write_readme(folder: Path, stack: str, given: dict[str, Any]) -> None:
    made = f"Made of {stack} with {json.dumps(given)}.\n"
    text = README.format(aligned=ALIGNED if given["align"] else "", settings=made)
    write_text(folder / "README.txt", text)


def _own_settings(settings: dict[str, Any], configs: list[str]) -> dict[str, dict[str, Any]]:
    """Sort settings by the configs that know them."""
    own = {config: settings_for(config, **settings) for config in configs}
    for key, value in settings.items():
        if not any(key in entry for entry in own.values()):
            raise ValueError(f"--{key} must be a setting of {', '.join(configs)}, but got {key} = {value!r}")
    return own
