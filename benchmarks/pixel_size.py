"""How often `python -m bundle pixel_size` is right, on labelled sets whose pixel sizes are known.

Run from the root of the bundle: `python -m benchmarks.pixel_size data/drosophila_vnc data/epfl_hippocampus ...`. It
writes `docs/results/pixel_size.json` and `.md`. Of each set the test part is looked at, or all of it where it has none,
section by section and together; each section as it is, and shrunk and enlarged, where the truth is another one, so that
to know what is usual does not help. No label is used.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import fire
import torch
from tqdm import tqdm

from bundle.data.pixel_size import SectionScorer, spread
from bundle.runs import hardware
from scripts.inference import PixelSizeEstimate, PixelSizeEstimator, candidate_pixel_sizes
from scripts.io import load_sections, require_writable, write_json, write_text
from scripts.resampling import resample
from scripts.weights import git_revision, sha256_of

ENLARGED = (0.7, 1.0, 1.5)


def benchmark(
    *data: str,
    network: str = "unet",
    output: str = "docs/results/pixel_size",
    count: int = 4,
    tiles: int = 4,
    **settings: Any,
) -> str:
    """Estimate pixel sizes that are known.

    Args:
        *data: folders with a `datalist.json` that states pixel sizes.
        network: "fusion_fcn" or "unet".
        output: where to write, without suffix: `output.json` and `output.md`.
        count: sections of each set, at most.
        tiles: of each section, at most, at each candidate.
        **settings: further settings of `inference.json`, such as `checkpoint`.

    Returns:
        Tables in Markdown.

    Raises:
        ValueError: a list states no pixel size or an argument is out of its range.
        RuntimeError: from the config, with the cause chained.
        OSError: a file cannot be read or written.
    """
    require_writable(Path(output).parent)
    chosen = {Path(folder).name: spread(_items(Path(folder)), count) for folder in data}
    scorer = SectionScorer.of([item for items in chosen.values() for item in map(_unknown, items)], network, **settings)
    candidates = candidate_pixel_sizes()
    rows: list[dict[str, Any]] = []
    start = time.monotonic()
    with tqdm(total=len(ENLARGED) * sum(map(len, chosen.values())), desc="estimating", unit="section") as bar:
        for folder, (name, items) in zip(data, chosen.items(), strict=True):
            guessed = bool(json.loads((Path(folder) / "datalist.json").read_text()).get("pixel_size_estimated"))
            for enlarged in ENLARGED:

                def made() -> PixelSizeEstimator:
                    return PixelSizeEstimator(scorer.score, scorer.pixel_size, candidates, scorer.tile_size, tiles)

                together, shown = made(), {"set": name, "stated_is_a_guess": guessed, "enlarged": enlarged}
                for item in items:
                    alone, section = made(), _shown(scorer.load(_unknown(item)), item, enlarged)
                    alone.add(section)
                    together.add_all(alone)
                    true = item["pixel_size_nm"][0] / enlarged
                    rows.append({**shown, "section": Path(item["image"]).name, **_row(alone.estimate(), true)})
                    bar.update()
                rows.append({**shown, "section": None, **_row(together.estimate(), true)})
    record = Path(scorer.checkpoint).with_suffix(".json")
    figures = {
        "network": network,
        "weights": Path(scorer.checkpoint).name,
        "weights_sha256": sha256_of(Path(scorer.checkpoint)),
        "trained_on": list(json.loads(record.read_text())["training_data"]) if record.is_file() else None,
        "candidates": [round(c, 3) for c in candidates],
        "tiles": tiles,
        "settings": settings,
        "machine": hardware(),
        "commit": git_revision(),
        "seconds": round(time.monotonic() - start),
        "estimates": rows,
    }
    write_json(f"{output}.json", figures)
    text = markdown(figures)
    write_text(f"{output}.md", text + "\n")
    return text


def markdown(figures: dict[str, Any]) -> str:
    """Set the figures as tables.

    Args:
        figures: content of the JSON file.

    Returns:
        Markdown: one table for single sections, one for the sections of a set together.
    """
    trained, rows = figures["trained_on"], figures["estimates"]
    heads = {"One section at a time": [row for row in rows if row["section"] is not None]}
    heads["The sections of a set together"] = [row for row in rows if row["section"] is None]
    lines = []
    for head, part in heads.items():
        lines += [
            f"## {head}",
            "",
            "| set | stated | tried | answered | within 25 % | within 10 % | estimate / truth |",
        ]
        lines += ["| --- |" + " --- |" * 6]
        names = list(dict.fromkeys(row["set"] for row in part))
        for name in names:
            own = [row for row in part if row["set"] == name]
            stated = sorted({f"{row['true'] * row['enlarged']:.2g}" for row in own})
            size = " or ".join(stated) + (" nm (a guess)" if own[0]["stated_is_a_guess"] else " nm")
            title = name + (" (trained on)" if trained and name in trained else "")
            lines.append(f"| {title} | {size} | {_counts(own)} |")
        published = [row for row in part if not row["stated_is_a_guess"]]
        lines.append(f"| all whose pixel size is published | | {_counts(published)} |")
        lines += [f"| all | | {_counts(part)} |", ""]
    return "\n".join(lines) + (
        f"\nEach section as it is, at 0.7 and at 1.5 times its size in pixels; `answered`: not refused as unknown; the"
        f" last column is the median, and from where to where, of the answers. {figures['network']},"
        f" {figures['weights']} (SHA-256 {figures['weights_sha256'][:12]}), {figures['tiles']} tiles a section,"
        f" {figures['machine']}, {figures['seconds']} s. Made by `python -m benchmarks.pixel_size`."
    )


def _items(folder: Path) -> list[dict]:
    content = json.loads((folder / "datalist.json").read_text())
    items = load_sections(folder / "datalist.json", "test" if content.get("test") else "training")
    for item in items:
        if "pixel_size_nm" not in item:
            raise ValueError(f"{folder}: its list states no pixel size, so that nothing can be compared with it")
    return items


def _unknown(item: dict) -> dict:
    return {key: value for key, value in item.items() if key != "pixel_size_nm"}


def _shown(section: torch.Tensor, item: dict, enlarged: float) -> torch.Tensor:
    left, top, right, bottom = item.get("region", (0, 0, *section.shape[1:]))
    section = section[:, left:right, top:bottom]
    return resample(section[None], [round(enlarged * length) for length in section.shape[1:]])[0]


def _row(estimate: PixelSizeEstimate, true: float) -> dict[str, Any]:
    return {
        "true": round(true, 3),
        "estimate": None if estimate.pixel_size is None else round(estimate.pixel_size, 3),
        "span": None if estimate.span is None else [round(v, 3) for v in estimate.span],
        "doubt": estimate.doubt,
        "sureness": [round(float(v), 4) if math.isfinite(v) else None for v in estimate.sureness],
    }


def _counts(rows: list[dict[str, Any]]) -> str:
    ratios = sorted(row["estimate"] / row["true"] for row in rows if row["estimate"] is not None)
    within = [sum(1 / limit <= ratio <= limit for ratio in ratios) for limit in (1.25, 1.1)]
    middle = f"{ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios else ""
    return " | ".join([str(len(rows)), str(len(ratios)), *map(str, within), middle])


if __name__ == "__main__":
    fire.Fire(benchmark)
