from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.studies.examples import draw_examples

SIZE = 40


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    """Five sections, of which only the right 40 x 40 pixels count; section k has k + 1 columns of mitochondrion."""
    items = []
    for number in range(5):
        image = np.tile(np.arange(2 * SIZE, dtype=np.uint8), (SIZE, 1))
        label = np.zeros_like(image)
        label[:, SIZE : SIZE + number + 1] = 255
        for kind, pixels in (("image", image), ("label", label)):
            Image.fromarray(pixels).save(tmp_path / f"{kind}{number}.png")
        region = [SIZE, 0, 2 * SIZE, SIZE]
        items.append({"image": f"image{number}.png", "label": f"label{number}.png", "region": region})
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"test": items}))
    return path


def evaluation(folder: Path, scores: list[float], colour: int) -> Path:
    (folder / "overlays").mkdir(parents=True)
    # rows in the order of the processes that wrote them, which is not that of the list
    rows = sorted(enumerate(scores), key=lambda row: (row[0] % 2, row[0]))
    text = "".join(f"{number},s,{score}\n" for number, score in rows)
    (folder / "jaccard.csv").write_text("number,section,with_crf_jaccard\n" + text)
    (folder / "jaccard.json").write_text('{"equalize": "tissue", "equalize_clip": [0.0005, 0.9995]}')
    for number in range(len(scores)):
        Image.new("RGB", (SIZE, SIZE), (colour, 10 * number, 0)).save(folder / "overlays" / f"{number:04d}_s.png")
    return folder


def test_the_median_and_the_worst_section_of_the_last_evaluation(datalist: Path, tmp_path: Path) -> None:
    first = evaluation(tmp_path / "first", [0.0, 0.1, 0.2, 0.3, 0.4], colour=50)
    last = evaluation(tmp_path / "last", [0.5, 0.9, 0.7, float("nan"), 0.8], colour=100)
    draw_examples(datalist, [first, last], tmp_path / "picture.png")
    picture = np.asarray(Image.open(tmp_path / "picture.png"))
    assert picture.shape == (2 * SIZE + 8, 4 * SIZE + 3 * 8, 3)
    # of 0.5, 0.7, 0.8 and 0.9 the upper median, section 4, and the lowest, section 0
    for row, number in enumerate((4, 0)):
        section, truth, *results = [
            picture[row * (SIZE + 8) :][:SIZE, column * (SIZE + 8) :][:, :SIZE] for column in range(4)
        ]
        assert (section == section[..., :1]).all(), "the section is grey"
        coloured = (truth != truth[..., :1]).any(axis=-1)
        assert coloured[:, : number + 1].all()
        assert not coloured[:, number + 1 :].any()
        for result, colour in zip(results, (50, 100), strict=True):
            assert (result == (colour, 10 * number, 0)).all()


def test_what_is_not_known_is_neither_truth_nor_shown(datalist: Path, tmp_path: Path) -> None:
    known = np.zeros((SIZE, 2 * SIZE), np.uint8)
    known[: SIZE // 2] = 255
    Image.fromarray(known).save(tmp_path / "known.png")
    content = json.loads(datalist.read_text())
    content["test"][4]["known"] = "known.png"
    datalist.write_text(json.dumps(content))
    last = evaluation(tmp_path / "last", [float("nan")] * 4 + [0.5], colour=100)
    draw_examples(datalist, [last], tmp_path / "picture.png")
    truth = np.asarray(Image.open(tmp_path / "picture.png"))[:SIZE, SIZE + 8 :][:, :SIZE]
    coloured = (truth != truth[..., :1]).any(axis=-1)
    assert coloured[: SIZE // 2, :5].all()
    assert not coloured[SIZE // 2 :].any()
    assert len(np.unique(truth[SIZE // 2 :])) == 1
