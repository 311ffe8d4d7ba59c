"""How many labels differ where the CRF refines a section in blocks, each with what surrounds it.

Run from the root of the bundle: `python -m benchmarks.crf_blocks SETS [--side 256] [--sections 4] [--checkpoint
models/model.pt] [--output docs/results/crf_blocks.json]`. SETS are folders with a `datalist.json`, of which the first
sections of the validation part are scored. Each is refined as a whole and in blocks of `side` pixels, with what
`scripts.crf.crf_window` adds to them and without, at the parameters of the weights and at strong ones, and labels are
compared at the threshold of the weights.
"""

from __future__ import annotations

from pathlib import Path

import fire
import numpy as np

from bundle.runs import ScoredSection, config_names, hardware, score, settings_of_weights
from scripts.crf import crf_window, dense_crf
from scripts.io import write_json
from scripts.weights import git_revision

from .crf_cost import PARAMETERS

STRONG = PARAMETERS["strong"]


def main(
    *sets: str, side: int = 256, sections: int = 4, checkpoint: str = "models/model.pt", output: str | None = None
) -> None:
    """Measure, print, and write the figures.

    Args:
        *sets: folders of labelled sets.
        side: of the blocks in pixels.
        sections: of each set, at most.
        checkpoint: the weights.
        output: JSON file for the figures.
    """
    record = settings_of_weights(checkpoint)
    rows = []
    for folder in sets:
        configs = config_names("fusion_fcn", "evaluate", base="inference")
        scored = score(*configs, checkpoint=checkpoint, dataset_dir=folder, part="validation")[:sections]
        for name, parameters in (("of the weights", record["crf"]), ("strong", STRONG)):
            shares = np.mean([differing(s, parameters, record["threshold"], side) for s in scored], axis=0)
            about = {"set": Path(folder).resolve().name, "parameters": name}
            for surrounded, share in zip((True, False), shares.tolist(), strict=True):
                rows.append({**about, "surrounded": surrounded, "share": share})
                print(rows[-1], flush=True)
    if output is not None:
        about = {"side": side, "crf": record["crf"], "strong": STRONG, "threshold": record["threshold"]}
        write_json(output, {**about, "machine": hardware(), "commit": git_revision(), "rows": rows})


def differing(section: ScoredSection, parameters: dict, threshold: float, side: int) -> list[float]:
    """Share of the labels of a section that are others where it is refined in blocks, surrounded and by themselves."""

    def refined(window: tuple[slice, slice]) -> np.ndarray:
        return dense_crf(section.probabilities[:, *window], section.image[:, *window], **parameters)[-1] >= threshold

    whole = refined((slice(None), slice(None)))
    different = np.zeros((2, *whole.shape), bool)
    for x in range(0, whole.shape[0], side):
        for y in range(0, whole.shape[1], side):
            window = tuple(slice(a, min(a + side, n)) for a, n in zip((x, y), whole.shape, strict=True))
            seen = crf_window(window, whole.shape, **parameters)
            inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, seen, strict=True))
            different[0][window] = refined(seen)[inner] != whole[window]
            different[1][window] = refined(window) != whole[window]
    return different.mean(axis=(1, 2)).tolist()


if __name__ == "__main__":
    fire.Fire(main)
