from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from bundle.analysis.analyze import analyze
from bundle.runs import run
from scripts.config import first_cause
from scripts.io import find_sections, write_section
from scripts.networks import FusionFCN
from scripts.phantom import PhantomTissue, acquire

SMALL = {"width": 0.125, "network_pixel_size": 5.0, "patch_size": 64, "num_workers": 0, "use_crf": False}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(FusionFCN(width=SMALL["width"]).state_dict(), path)
    return path


@pytest.mark.slow
def test_the_whole_way(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    image = acquire(PhantomTissue(4, (384, 384), 1).section(0)[0], np.random.default_rng(0))
    for number in range(2):
        write_section(tmp_path / "in" / f"test_{number:03d}.tif", np.roll(image, 5 * number, axis=0))
    arguments = {"output_dir": str(tmp_path / "results"), "pixel_size": 5, "section_thickness": 50, "threshold": 0.5}
    images = str(tmp_path / "in" / "test_*.tif")
    said = analyze(images, **arguments, checkpoint=str(weights), **SMALL)
    results = tmp_path / "results"
    assert said == f"Report: {results / 'objects' / 'report.html'}\nAt a glance: {results / 'overview.jpg'}"
    lines = [line for line in capsys.readouterr().out.splitlines() if "/3 " in line]
    assert [line.split(":")[0] for line in lines] == ["1/3 aligning", "2/3 segmenting", "3/3 numbering and measuring"]
    assert (results / "aligned" / "report.csv").is_file()
    assert {file.name for file in (results / "segmented").iterdir()} == {
        ".made_of.jsonl",
        *(f"test_{number:03d}_{kind}.tif" for number in range(2) for kind in ("mitochondria", "probability")),
    }
    summary = json.loads((results / "objects" / "summary.json").read_text())
    assert (summary["sections"], summary["settings"]["smoothing"]) == (2, 0.25)
    named = [line.split()[0] for line in (results / "README.txt").read_text().splitlines() if "/" in line.split(" ")[0]]
    assert all(list(results.glob(name)) for name in named)
    files = [*(results / "objects").iterdir(), results / "overview.jpg"]
    before = {file: file.stat().st_mtime_ns for file in files}
    analyze(images, **arguments, checkpoint=str(weights), **SMALL)
    assert {file: file.stat().st_mtime_ns for file in files} == before


@pytest.mark.slow
@pytest.mark.parametrize("way", ["list", "setting"])
def test_a_stated_pixel_size_comes_through(weights: Path, tmp_path: Path, way: str) -> None:
    """Where the files state another one: aligned sections and masks have it, and measures are of it."""
    image = acquire(PhantomTissue(4, (384, 384), 1).section(0)[0], np.random.default_rng(0))
    for number in range(2):
        wrong = {"resolution": (1e7 / 8, 1e7 / 8), "resolutionunit": 3}
        tifffile.imwrite(tmp_path / f"s{number}.tif", np.roll(image, 5 * number, axis=0).T, **wrong)
    (tmp_path / "list.json").write_text(json.dumps({"pixel_size_nm": 5, "test": ["s0.tif", "s1.tif"]}))
    out, settings = tmp_path / "results", {"threshold": 0.5, "checkpoint": str(weights), **SMALL}
    if way == "list":
        analyze(str(tmp_path / "list.json"), str(out), **settings)
    else:
        analyze(str(tmp_path / "s*.tif"), str(out), pixel_size=5, **settings)
    written = [*find_sections(out / "aligned" / "images"), *find_sections(out / "segmented")]
    assert [section.pixel_size_nm for section in written] == [pytest.approx((5, 5), rel=1e-4)] * 6
    run("objects", run_id="objects", dataset_dir=str(out / "segmented"), output_dir=str(tmp_path / "objects"))
    for folder in (out / "objects", tmp_path / "objects"):
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["settings"]["pixel_size_nm"] == pytest.approx([5, 5], rel=1e-4)


def test_without_alignment(tiny_phantom: Path, weights: Path, tmp_path: Path) -> None:
    images = str(tiny_phantom / "images" / "test_*.png")
    analyze(images, str(tmp_path), align=False, checkpoint=str(weights), **SMALL)
    assert not (tmp_path / "aligned").exists()
    assert (tmp_path / "overview.jpg").is_file()
    assert "aligned" not in (tmp_path / "README.txt").read_text()
    assert json.loads((tmp_path / "objects" / "summary.json").read_text())["settings"]["smoothing"] == 0


def test_other_weights_do_not_keep_the_masks(tiny_phantom: Path, weights: Path, tmp_path: Path) -> None:
    arguments = (str(tiny_phantom / "images" / "test_*.png"), str(tmp_path / "out"))
    analyze(*arguments, align=False, checkpoint=str(weights), **SMALL)
    readme = (tmp_path / "out" / "README.txt").read_text()
    torch.save(FusionFCN(width=SMALL["width"]).state_dict(), tmp_path / "other.pt")
    with pytest.raises(RuntimeError) as error:
        analyze(*arguments, align=False, checkpoint=str(tmp_path / "other.pt"), **SMALL)
    assert "_mitochondria.png: must be of" in str(first_cause(error.value))
    assert "another weights; choose another --output_dir" in str(first_cause(error.value))
    assert (tmp_path / "out" / "README.txt").read_text() == readme


def test_a_setting_that_no_stage_knows(tiny_phantom: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--necks must be a setting of"):
        analyze(str(tiny_phantom / "images"), str(tmp_path / "out"), necks=0.5)
    with pytest.raises(ValueError, match="--dataset_dir"):
        analyze(str(tiny_phantom / "images"), str(tmp_path / "out"), dataset_dir="here")
