"""The report of an analysis: one page without anything beside it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scripts.figures import colours_of, paint_instances, stretched
from scripts.io import write_text

from .columns import OBJECT_COLUMNS, PROFILE_COLUMNS
from .gathering import Gathered, labels_of
from .stack import MaskStack

__all__ = ["histogram_svg", "write_report"]

MOST_PICTURES = 24
PICTURE_SIZE = 900
BINS = 30
LONG = ("warnings", "masks", "section_files", "valid_files", "order", "positions")
"""What the table leaves out: it is said above, or long and no result."""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2em auto; padding: 0 1em; color: #222 }}
.warning {{ color: #b00020; font-weight: bold }}
table {{ border-collapse: collapse }} td, th {{ border-bottom: 1px solid #ddd; padding: .2em .8em; text-align: left }}
td:last-child {{ font-variant-numeric: tabular-nums }}
figure {{ display: inline-block; margin: .5em }} figcaption {{ font-size: 13px }}
#pages img {{ display: none; width: 100% }} #pages img.shown {{ display: block }}
input[type=range] {{ width: 100% }} svg rect {{ fill: #0072b2 }} svg text {{ font-size: 11px; fill: #444 }}
</style></head><body>
<h1>{title}</h1>
{warnings}
<h2>Sections</h2>
<p>A colour is a mitochondrion, the same through all sections. The slider pages (arrow keys too, once it is chosen).</p>
<div id="pages">{pictures}</div>
<label><input id="page" type="range" min="0" max="{last}" value="0"> <span id="name"></span></label>
<h2>Distributions</h2>
<p>Profiles that no border cuts, and mitochondria that neither a border nor the ends of the stack cut.</p>
{histograms}
<h2>Summary</h2>
<p>What each number is stands in columns.md; densities are without bias (counting frame, disector).</p>
<table>{numbers}</table>
<script>
const pictures = [...document.querySelectorAll("#pages img")], slider = document.getElementById("page");
function show() {{
  pictures.forEach((picture, i) => picture.classList.toggle("shown", i === +slider.value));
  document.getElementById("name").textContent = pictures.length ? pictures[+slider.value].alt : "";
}}
slider.addEventListener("input", show); show();
</script></body></html>
"""


def write_report(
    path: Path,
    stack: MaskStack,
    found: Gathered,
    table: NDArray[np.float64],
    summary: dict[str, Any],
    work: Path,
    unit: str,
) -> None:
    """Write the page.

    Args:
        path: where to write.
        stack: sections to show; without them objects are drawn on white.
        found: profiles.
        table: objects, the columns of `OBJECT_COLUMNS`.
        summary: see `scripts.objects.summary.summarize`.
        work: labels of each section, see `labels_of`.
        unit: of length.

    Raises:
        OSError: the file cannot be written.
    """
    pictures = list(_pictures(stack, found, work))
    page = PAGE.format(
        title=f"{summary['objects']} mitochondria in {summary['sections']} sections",
        warnings="".join(f'<p class="warning">{html.escape(text)}</p>' for text in summary["warnings"]),
        pictures="".join(pictures),
        last=max(0, len(pictures) - 1),
        histograms="".join(_histograms(found, table, unit)),
        numbers="".join(_rows(summary)),
    )
    write_text(path, page)


def histogram_svg(values: NDArray[np.float64], title: str) -> str:
    """Draw a histogram.

    Args:
        values: finite numbers, at least one.
        title: what stands under it.

    Returns:
        An HTML figure; the last bin holds what lies beyond the 99th percentile.
    """
    low, high = float(values.min()), float(np.quantile(values, 0.99))
    if high - low <= 1e-6 * abs(high):  # one value, but for rounding
        low, high = low - 0.5 * (abs(low) or 1), low + 0.5 * (abs(low) or 1)
    counts = np.histogram(np.clip(values, low, high), BINS, (low, high))[0]
    bars = "".join(
        f'<rect x="{10 * i}" y="{100 - 100 * n / counts.max():.1f}" width="9" height="{100 * n / counts.max():.1f}"/>'
        for i, n in enumerate(counts)
    )
    axis = f'<text x="0" y="114">{low:.3g}</text><text x="{10 * BINS}" y="114" text-anchor="end">{high:.3g}</text>'
    caption = f"{html.escape(title)}: median {np.median(values):.4g}, n = {len(values)}"
    svg = f'<svg width="280" viewBox="0 0 {10 * BINS} 118" role="img">{bars}{axis}</svg>'
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _histograms(found: Gathered, table: NDArray[np.float64], unit: str) -> Iterator[str]:
    inside = found.table[:, 12] == 0
    names = [column.name for column in OBJECT_COLUMNS]
    cut = table[:, names.index("cut_by_border")] + table[:, names.index("cut_by_ends")] > 0
    for place, column in enumerate(PROFILE_COLUMNS[4:-1]):
        if column.name in ("area", "circularity", "aspect_ratio", "feret_max", "mean_grey"):
            yield from _histogram(found.table[inside, place], f"{column.header(unit)} of profiles")
    for place, column in enumerate(OBJECT_COLUMNS):
        if column.volumetric:
            yield from _histogram(table[~cut, place], f"{column.header(unit)} of mitochondria")


def _histogram(values: NDArray[np.float64], title: str) -> Iterator[str]:
    values = values[np.isfinite(values)]
    if len(values):
        yield histogram_svg(values, title)


def _pictures(stack: MaskStack, found: Gathered, work: Path) -> Iterator[str]:
    colours = colours_of(int(found.objects.max(initial=0)))
    step = max(1, -(-max(stack.shape) // PICTURE_SIZE))
    for index in np.unique(np.linspace(0, len(stack) - 1, min(len(stack), MOST_PICTURES)).round().astype(int)).tolist():
        rows = slice(found.offsets[index], found.offsets[index + 1])
        numbers = np.concatenate([[0], found.objects[rows]])[labels_of(work, index)[::step, ::step]]
        section = stack.section(index)
        white = np.full(numbers.shape, 255, np.uint8)
        grey = white if section is None else stretched(section[::step, ::step])
        picture = paint_instances(grey, numbers, colours)
        plane = stack.planes[index]
        shown = plane.section or plane.mask
        name = f"section {plane.position}: {Path(shown.path).name}" + (f", page {shown.page}" if shown.page else "")
        yield f'<img alt="{html.escape(name)}" src="data:image/jpeg;base64,{_jpeg(picture)}">'


def _jpeg(picture: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()


def _rows(value: Any, name: str = "") -> Iterator[str]:
    """Every number of the summary, a row for each."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key not in LONG:
                yield from _rows(entry, f"{name} {key}".strip())
        return
    if value is None:
        text = "not known"
    elif isinstance(value, list):
        text = ", ".join(_number(entry) for entry in value) or "none"
    else:
        text = _number(value)
    yield f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{html.escape(text)}</td></tr>"


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
