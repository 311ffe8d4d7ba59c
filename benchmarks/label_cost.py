"""What a proposal and a training round of the labelling server cost: `python benchmarks/label_cost.py URL SECTION`.

Against a running server (docs/monai_label.md) whose folder has a label for the section. The cost of a proposal without
the CRF goes by the area of the section, so start the server with the `--pixel_size` of its sections.
"""

from __future__ import annotations

import json
import statistics
import time

import fire
import fire.decorators
import requests

NAME = "em_mitochondria_segmentation"


@fire.decorators.SetParseFn(str, "section")  # a name such as 007 is no number
def label_cost(url: str, section: str, repeats: int = 5, epochs: int = 10) -> None:
    """Print the time from request to answer of proposals, and that of a training.

    Args:
        url: address of the server.
        section: name of a section.
        repeats: proposals of each kind.
        epochs: of the training.
    """
    info = requests.get(f"{url}/info/").json()["models"][NAME]["config"]
    print(f"sections of {info['pixel_size'] or 'unknown'} nm a pixel")
    kinds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(repeats + 1):
        for use_crf, seconds in kinds.items():
            start = time.perf_counter()
            answer = requests.post(
                f"{url}/infer/{NAME}?image={section}&output=image", data={"params": json.dumps({"use_crf": use_crf})}
            )
            answer.raise_for_status()
            seconds.append(time.perf_counter() - start)
    for use_crf, seconds in kinds.items():
        warm = seconds[1:]  # the first loads the weights
        name = "with CRF" if use_crf else "without CRF"
        print(f"proposal {name}: median {statistics.median(warm):.2f} s ({min(warm):.2f} to {max(warm):.2f})")
    start = time.perf_counter()
    requests.post(f"{url}/train/{NAME}", json={"max_epochs": epochs}).raise_for_status()
    while (task := requests.get(f"{url}/train/").json())["status"] in ("SUBMITTED", "RUNNING"):
        time.sleep(0.5)
    labelled = requests.get(f"{url}/datastore/").json()["completed"]
    stats = requests.get(f"{url}/info/").json()["train_stats"][NAME]
    seconds = time.perf_counter() - start
    print(f"training, {labelled} labelled section(s), {epochs} epochs: {seconds:.0f} s, {task['status']}")
    print(f"held out: {stats['deployed_before']:.3f} before, {stats['best_metric']:.3f} after")


if __name__ == "__main__":
    fire.Fire(label_cost)
