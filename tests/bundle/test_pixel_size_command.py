from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.pixel_size import benchmark, markdown
from bundle.__main__ import main
from bundle.data import pixel_size as module
from bundle.data.pixel_size import SectionScorer, pixel_size, spread
from bundle.runs import ROOT
from scripts.io import write_section
from scripts.networks import FusionFCN
from scripts.phantom import PhantomTissue, acquire


@pytest.fixture
def untrained(tmp_path: Path, tiny: dict) -> dict:
    """Settings of a network that knows nothing."""
    torch.manual_seed(0)
    torch.save(FusionFCN(width=0.125).state_dict(), tmp_path / "model.pt")
    settings = {key: value for key, value in tiny.items() if key != "patch_size"}
    return {"checkpoint": str(tmp_path / "model.pt"), "patch_size": 96, **settings}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is surest where dark blobs of the section, some 30 pixels wide, are 24 pixels wide."""

    def score(pictures: torch.Tensor) -> torch.Tensor:
        sigma = 24 / 2 / 2**0.5
        x = torch.arange(-40, 41).float()
        kernel = torch.exp(-(x**2) / 2 / sigma**2) / sigma / (2 * torch.pi) ** 0.5
        bent = (x**2 / sigma**2 - 1) * kernel
        laplacian = bent[:, None] * kernel + kernel[:, None] * bent
        padded = torch.nn.functional.pad(pictures, (40,) * 4, mode="reflect")
        return torch.nn.functional.conv2d(padded, laplacian[None, None])[:, 0].clamp(0, 1)

    made = SectionScorer.of

    def of(*args: object, **kwargs: object) -> SectionScorer:
        scorer = made(*args, **kwargs)
        return SectionScorer(scorer.load, score, scorer.pixel_size, scorer.tile_size, scorer.checkpoint)

    monkeypatch.setattr(module.SectionScorer, "of", of)


def blobs(path: Path, size: int, seed: int = 0) -> None:
    """Write a section with discs 30 pixels wide."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.mgrid[:size, :size], axis=-1).astype(float)
    image = rng.normal(200, 8, (size, size))
    for cell in np.ndindex(size // 66 + 2, size // 66 + 2):
        image[np.hypot(*np.moveaxis(grid - 66 * np.array(cell) - rng.uniform(-12, 12, 2), -1, 0)) < 15] = 40
    write_section(path, image.clip(0, 255).astype(np.uint8))


def phantom_section(path: Path, pixel_size_nm: float) -> None:
    """Write 2.8 µm of phantom tissue."""
    size = round(2800 / pixel_size_nm)
    tissue = PhantomTissue(np.random.SeedSequence(3), (size, size), 1, pixel_size_nm, 50.0)
    write_section(path, acquire(tissue.section(0)[0], np.random.default_rng(0)))


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_the_estimate_and_the_command_to_go_on_with(tmp_path: Path, untrained: dict) -> None:
    (tmp_path / "my stack").mkdir()
    for index in range(3):
        blobs(tmp_path / "my stack" / f"{index}.png", 400, index)
    text = pixel_size(str(tmp_path / "my stack"), count=2, candidates=9, largest=16, **untrained, equalize="none")
    # a network of 5 nm pixels; 30 pixels at 4 nm are 24 at 5 nm
    line = next(line for line in text.splitlines() if line.startswith("pixel size:"))
    estimate = float(line.removeprefix("pixel size: about ").split()[0])
    assert estimate == pytest.approx(4, rel=0.15)
    assert "from 2 of 3 sections" in line
    command = text.splitlines()[-1]
    assert f"'{tmp_path}/my stack'" in command
    assert command.endswith(f"--pixel_size {estimate:g}")
    assert "--equalize none" in command


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_what_a_list_states_comes_first(tmp_path: Path, untrained: dict) -> None:
    blobs(tmp_path / "section.png", 600)
    items = [{"image": "section.png", "label": "section.png"}]
    (tmp_path / "list.json").write_text(json.dumps({"pixel_size_nm": 12, "test": items}))
    text = pixel_size(str(tmp_path / "list.json"), candidates=9, largest=16, **untrained, equalize="none")
    assert "pixel size: about 4" in text
    assert "list.json states 12 x 12 nm" in text
    assert "--pixel_size" not in text.splitlines()[-1]  # the inference would reject_overrides it


@pytest.mark.slow
@pytest.mark.parametrize("pixel_size_nm", [4.0, 7.0])
@pytest.mark.parametrize("network", ["fusion_fcn", "unet"])
def test_the_shipped_weights_on_phantom_tissue(tmp_path: Path, pixel_size_nm: float, network: str) -> None:
    phantom_section(tmp_path / "section.png", pixel_size_nm)
    scorer = SectionScorer.of([{"image": str(tmp_path / "section.png"), "page": 0}], network, num_workers=0)
    section = scorer.load({"image": str(tmp_path / "section.png"), "page": 0})
    estimator = module.PixelSizeEstimator(
        scorer.score, scorer.pixel_size, [pixel_size_nm * f for f in (0.4, 0.6, 1, 1.6, 2.5)], 256, 4
    )
    estimator.add(section)
    assert estimator.estimate().sureness.argmax() == 2


@pytest.mark.slow
@pytest.mark.parametrize("pixel_size_nm", [4.0, 7.0])
def test_the_shipped_unet_looks_and_the_fusion_fcn_is_to_segment(tmp_path: Path, pixel_size_nm: float) -> None:
    phantom_section(tmp_path / "section.png", pixel_size_nm)
    text = pixel_size(str(tmp_path / "section.png"), smallest=1.5, largest=20.0, candidates=9, num_workers=0)
    line = next(line for line in text.splitlines() if line.startswith("pixel size:"))
    estimate = float(line.removeprefix("pixel size: about ").split()[0])
    assert estimate == pytest.approx(pixel_size_nm, rel=0.3)
    assert "--config_file configs/inference.json" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "network"),
    [
        ({}, "unet"),
        ({"checkpoint": "model.pt"}, "fusion_fcn"),
        ({"network": "unet", "checkpoint": "model.pt"}, "unet"),
        ({"network": "fusion_fcn"}, "fusion_fcn"),
    ],
)
def test_which_network_looks(
    tiny_phantom: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, str], network: str
) -> None:
    def of(sections: list[dict], name: str, **settings: object) -> None:
        raise InterruptedError(name)

    monkeypatch.setattr(module.SectionScorer, "of", of)
    with pytest.raises(InterruptedError, match=f"^{network}$"):
        pixel_size(str(tiny_phantom / "images"), **arguments)


@pytest.mark.slow
def test_an_untrained_network_knows_no_pixel_size(
    tiny_phantom: Path, untrained: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [f"--{key}={value}" for key, value in untrained.items()]
    arguments = ["bundle", "pixel_size", str(tiny_phantom / "images"), "--smallest=5", *settings]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match=r"^error: .*images: the pixel size cannot be estimated from 4 of 6 sections"):
        main()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "resnet"}, "network must be fusion_fcn or unet, but got 'resnet'"),
        ({"count": 0}, "count must be a whole number from 1, but got 0"),
        ({"smallest": 30}, "smallest and largest"),
        ({"candidates": 3}, "count must be a whole number from 5"),
        ({"tiles": 0}, "tiles must be a whole number from 1"),
        ({"output_dir": "out"}, "--output_dir cannot be given here"),
        ({"pixel_size": 5}, "--pixel_size cannot be given here"),
    ],
)
def test_bad_arguments(tiny_phantom: Path, untrained: dict, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pixel_size(str(tiny_phantom / "images"), **{**untrained, **arguments})


def test_settings_that_nothing_reads_are_refused(tiny_phantom: Path, untrained: dict) -> None:
    with pytest.raises(RuntimeError) as error:
        pixel_size(str(tiny_phantom / "images"), equalise=False, **untrained)
    assert "equalise" in str(error.value.__cause__)


def test_missing_sections_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pixel_size(str(tmp_path / "nowhere"))


def test_sections_are_chosen_at_even_distances() -> None:
    items = [{"page": page} for page in range(10)]
    assert [item["page"] for item in spread(items, 3)] == [1, 5, 8]
    assert spread(items, 20) == items


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_the_benchmark_counts_what_is_right(tmp_path: Path, untrained: dict) -> None:
    folder = tmp_path / "blobs"
    (folder / "images").mkdir(parents=True)
    for index in range(2):
        blobs(folder / "images" / f"{index}.png", 600, index)
        write_section(folder / "images" / f"{index}_label.png", np.zeros((600, 600), np.uint8))
    items = [
        {"image": f"images/{index}.png", "label": f"images/{index}_label.png", "region": [0, 0, 500, 600]}
        for index in range(2)
    ]
    for stated in (4, 8):  # the second is wrong
        (folder / "datalist.json").write_text(json.dumps({"pixel_size_nm": stated, "training": items}))
        output = tmp_path / "out" / f"stated_{stated}"
        text = benchmark(str(folder), output=str(output), tiles=2, equalize="none", network="fusion_fcn", **untrained)
        figures = json.loads(output.with_suffix(".json").read_text())
        assert text == markdown(figures) == output.with_suffix(".md").read_text().rstrip("\n")
        assert [row["true"] for row in figures["estimates"][::3]] == pytest.approx(
            [stated / z for z in (0.7, 1, 1.5)], abs=1e-3
        )
        assert {row["estimate"] is None for row in figures["estimates"]} == {False}
        right = 6 if stated == 4 else 0
        assert f"| blobs | {stated} nm | 6 | 6 | {right} | " in text
    assert not (ROOT / "docs" / "results" / "stated_4.json").exists()


def test_the_benchmark_wants_a_pixel_size(labelled: Path, untrained: dict) -> None:
    item = {"image": "image.png", "label": "label.png"}
    (labelled / "datalist.json").write_text(json.dumps({"training": [item]}))
    with pytest.raises(ValueError, match="states no pixel size"):
        benchmark(str(labelled), output=str(labelled / "out"), network="fusion_fcn", **untrained)
