"""The command ``python -m bundle pixel_size``: the pixel size of sections for which none is known."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bundle.runs import config_names, prepare, reject_overrides
from scripts.handlers import load_weights
from scripts.inference import PixelSizeEstimate, PixelSizeEstimator, candidate_pixel_sizes
from scripts.io import find_sections

__all__ = ["SectionScorer", "curve", "pixel_size", "spread"]


@dataclass(frozen=True)
class SectionScorer:
    """A network as `configs/inference.json` uses it.

    Attributes:
        load: reads an item of `find_sections` and preprocesses it; (1, width, height).
        score: gives probabilities of mitochondrion (n, width, height) for pictures (n, 1, width, height) at the pixel
            size of the network.
        pixel_size: of the network, in nanometres.
        tile_size: width and height of what the network sees at once, in pixels.
        checkpoint: where its weights were read.
    """

    load: Callable[[dict], torch.Tensor]
    score: Callable[[torch.Tensor], torch.Tensor]
    pixel_size: float
    tile_size: int
    checkpoint: str

    @classmethod
    def of(cls, sections: Sequence[dict], network: str, **settings: Any) -> SectionScorer:
        """Make what the config describes, and check the sections.

        Args:
            sections: items of `find_sections`, all that are to be loaded.
            network: "fusion_fcn" or "unet".
            **settings: overrides of the config, such as `checkpoint`.

        Returns:
            The scorer.

        Raises:
            ValueError: it is none of the two networks, or a section is damaged.
            RuntimeError: from the config, with the cause chained.
        """
        configs = config_names(network, base="inference")
        reject_overrides(settings, "sections", "pending", "pixel_size", "dataset_dir", "output_dir")
        checks = ["$scripts.config.check_settings(@record)", "$scripts.io.check_sections(@pending)"]
        workflow = prepare(
            *configs,
            run_id="run",
            **{
                "sections": [dict(section) for section in sections],
                "pending": "@sections",
                "checks": checks,
                **settings,
            },
        )
        get = workflow.parser.get_parsed_content
        get("checks")
        net, device, preprocess = get("network"), torch.device(get("device")), get("preprocessing")
        load_weights(net, get("checkpoint"))
        net.eval()
        inferer = get("inferer").inferer  # the estimator resamples by itself

        def score(pictures: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return inferer(pictures.to(device), net).float().softmax(dim=1)[:, 1].cpu()

        return cls(
            load=lambda item: preprocess(dict(item))["image"].as_tensor(),
            score=score,
            pixel_size=float(get("network_pixel_size")),
            tile_size=int(get("patch_size")),
            checkpoint=str(get("checkpoint")),
        )


def pixel_size(
    sections: str,
    network: str | None = None,
    count: int = 4,
    tiles: int = 4,
    smallest: float = 1.5,
    largest: float = 24.0,
    candidates: int = 13,
    channel: int | None = None,
    **settings: Any,
) -> str:
    """Estimate the pixel size of sections from what a network makes of them at several scales.

    The estimate is the scale at which mitochondria look most like those that the network was trained on. It is good
    enough to segment by where nothing better is known, and no measurement: how often it is right stands in the docs.

    Args:
        sections: folder, glob pattern, file or list of sections, as `--dataset_dir` of the inference.
        network: "fusion_fcn" or "unet", to look and to segment with. If neither it nor `checkpoint` is given, the
            shipped U-Net looks, which was trained at one scale and is right more often, and the Fusion FCN segments.
        count: how many sections to look at, at most, spread evenly over all.
        tiles: how many places of each section to look at, at most, at each candidate.
        smallest: pixel size to try, in nanometres.
        largest: pixel size to try, in nanometres.
        candidates: how many pixel sizes to try.
        channel: which to read where files have several, from 0.
        **settings: further settings of `inference.json`, such as `checkpoint` or `equalize`.

    Returns:
        The estimate, and the command to segment with it.

    Raises:
        ValueError: the pixel size is not known, or an argument is out of its range.
        RuntimeError: from the config, with the cause chained.
        OSError: a file cannot be read.
    """
    tried = candidate_pixel_sizes(smallest, largest, candidates)
    if type(count) is not int or count < 1:
        raise ValueError(f"count must be a whole number from 1, but got {count!r}")
    found = find_sections(sections, channel, results=False)
    chosen = spread(found, count)
    looking = network or ("fusion_fcn" if "checkpoint" in settings else "unet")
    scorer = SectionScorer.of(chosen, looking, **settings)
    estimator = PixelSizeEstimator(scorer.score, scorer.pixel_size, tried, scorer.tile_size, tiles)
    for item in tqdm(chosen, desc="estimating", unit="section"):
        estimator.add(scorer.load(item))
    estimate = estimator.estimate()
    looked = f"{len(chosen)} of {len(found)} section{'s' if len(found) > 1 else ''}"
    if estimate.pixel_size is None:
        print(curve(estimate))
        raise ValueError(
            f"{sections}: the pixel size cannot be estimated from {looked}: {estimate.doubt}. Look it up in the "
            "microscope's record, or measure a mitochondrion, and state it by `--pixel_size`"
        )
    configs = [f"configs/{name}.json" for name in config_names(network or "fusion_fcn", base="inference")]
    files = ", ".join(f"'{name}'" for name in configs)
    command = ["python", "-m", "monai.bundle", "run", "inference", "--config_file"]
    command += [f"[{files}]" if len(configs) > 1 else configs[0], "--dataset_dir", sections]
    for name, value in {**({} if channel is None else {"channel": channel}), **settings}.items():
        command += [f"--{name}", str(value)]
    stated = next((item["pixel_size_nm"] for item in found if item.get("pixel_size_nm")), None)
    if stated is None:
        command += ["--pixel_size", f"{estimate.pixel_size:.2g}"]
    low, high = estimate.span
    return (
        f"{curve(estimate)}\n\n"
        f"pixel size: about {estimate.pixel_size:.2g} nm ({low:.2g} to {high:.2g} nm by its scatter over tiles), from "
        f"{looked}\n"
        f"an estimate, for brain tissue only, which may be wrong: look at the masks\n"
        + ("" if stated is None else f"{sections} states {stated[0]:g} x {stated[1]:g} nm, which is what is used\n")
        + f"next: {shlex.join(command)}"
    )


def curve(estimate: PixelSizeEstimate) -> str:
    """Set how sure the network was as a table.

    Args:
        estimate: of `PixelSizeEstimator`.

    Returns:
        Lines of text.
    """
    lines = ["pixel size   sureness   found to be mitochondria"]
    for size, sure, share in zip(estimate.candidates, estimate.sureness, estimate.found, strict=True):
        values = f"{sure:8.3f}   {share:8.1%}" if np.isfinite(sure) else "  section too small"
        lines.append(f"{size:7.2f} nm   {values}")
    return "\n".join(lines)


def spread(items: Iterable[dict], count: int) -> list[dict]:
    """Choose items at even distances.

    Args:
        items: in their order.
        count: how many, at most, at least 1.

    Returns:
        The chosen ones, in their order; all if there are no more.
    """
    items = list(items)
    if len(items) <= count:
        return items
    return [items[int((i + 0.5) * len(items) / count)] for i in range(count)]
