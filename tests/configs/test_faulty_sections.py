"""The shipped weights on sections with faulty pixels and margins: masks as those of the clean section."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from scripts.config import first_cause
from scripts.io import read_section, write_section
from scripts.phantom import PhantomTissue, acquire

ROOT = Path(__file__).parents[2]
VNC = ROOT.parent / "shared" / "data" / "drosophila_vnc" / "stack1" / "raw"
SHIPPED = {"checkpoint": str(ROOT / "models" / "model.pt"), "width": 0.5, "network_pixel_size": 10.0, "patch_size": 256}
SIZE = 512


def phantom() -> NDArray[np.uint8]:
    """A section of whose mitochondria the shipped weights are sure; others hang on their surroundings."""
    section, _ = PhantomTissue(0, (SIZE, SIZE), 1, pixel_size=5.0).section(0)
    return acquire(section, np.random.default_rng(0))


def phantoms() -> list[NDArray[np.uint8]]:
    return [phantom()]


def vnc() -> list[NDArray[np.uint8]]:
    if not VNC.is_dir():
        pytest.skip("needs the VNC sections of ../shared/data")
    return [read_section(VNC / f"{page}.tif")[-SIZE:, -SIZE:] for page in ("03", "07", "12")]


def faulty(image: NDArray[np.uint8]) -> dict[str, tuple[NDArray, NDArray[np.bool_], float]]:
    """Sections with a fault, where they show tissue, and the least agreement there."""
    everywhere = np.ones(image.shape, bool)
    hot, dead = image.astype(np.float32), image.astype(np.float32)
    hot[200, 300] = 1e6
    dead[:, 250] = -3.4e38
    found = {
        "hot pixel": (hot, everywhere, 0.97),
        "dead row": (dead, everywhere, 0.97),
        "offset": (image.astype(np.float32) + np.float32(1e5), everywhere, 0.97),
        "uint32": (image.astype(np.uint32) + np.uint32(1e6), everywhere, 0.97),
    }
    x, y = np.indices(image.shape)
    for name, grey, angle in (("black", 0, 0), ("white", 255, 0), ("grey", 128, 0), ("rotated", 255, 25)):
        distance = x * np.cos(np.deg2rad(angle)) + y * np.sin(np.deg2rad(angle))
        opacity = np.clip(distance - np.quantile(distance, 1 / 3) + 0.5, 0, 1)
        found[name] = ((opacity * image + (1 - opacity) * grey).round().astype(np.uint8), opacity == 1, 0.93)
    tissue = found["black"][1]
    found["far below"] = (np.where(tissue, image / np.float32(255), np.float32(-9999)), tissue, 0.93)
    found["far above"] = (np.where(tissue, image / np.float32(255), np.float32(1e30)), tissue, 0.93)
    found["beside an offset"] = (np.where(tissue, image + np.uint16(60_000), np.uint16(0)), tissue, 0.93)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("make", "pixel_size"), [(phantoms, 5.0), (vnc, 4.6)])
def test_masks_agree_with_those_of_the_clean_section(
    run_config: Callable, tmp_path: Path, make: Callable, pixel_size: float
) -> None:
    """Over all sections together: in a single one a mitochondrion beside the margin decides."""
    images = make()
    cases = [faulty(image) for image in images]
    for number, (image, faults) in enumerate(zip(images, cases, strict=True)):
        write_section(tmp_path / "in" / f"{number} clean.tif", image)
        for name, (pixels, *_) in faults.items():
            write_section(tmp_path / "in" / f"{number} {name}.tif", pixels)
    run_config(
        "inference",
        dataset_dir=str(tmp_path / "in"),
        output_dir=str(tmp_path / "out"),
        pixel_size=pixel_size,
        **SHIPPED,
    )
    for name, (*_, least) in cases[0].items():
        both = either = 0
        for number, faults in enumerate(cases):
            clean, mask = (
                read_section(tmp_path / "out" / f"{number} {kind}_mitochondria.tif") > 0 for kind in ("clean", name)
            )
            tissue = faults[name][1]
            assert 0.02 < clean.mean() < 0.3
            assert not mask[~tissue].any(), name
            both += (mask & clean)[tissue].sum()
            either += (mask | clean)[tissue].sum()
        assert both >= least * either, name


@pytest.mark.slow
def test_probability_is_zero_outside(run_config: Callable, weights: Path, tmp_path: Path) -> None:
    image = phantom()[:200, :160]
    image[:70] = 255
    write_section(tmp_path / "a.tif", image)
    settings = {"dataset_dir": str(tmp_path / "a.tif"), "checkpoint": str(weights), "save_probability": True}
    for use_crf in (False, True):
        output = tmp_path / str(use_crf)
        run_config("inference", output_dir=str(output), use_crf=use_crf, **settings)
        probability = read_section(output / "a_probability.tif")
        assert (probability[:70] == 0).all()
        assert (probability[80:] > 0).all()


def test_nothing_outside_counts_in_an_evaluation(run_config: Callable, labelled: Path, tmp_path: Path) -> None:
    """With a network that calls everything a mitochondrion."""
    network = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": 1}
    torch.save({"weight": torch.zeros(2, 1, 1, 1), "bias": torch.tensor([-9.0, 9.0])}, tmp_path / "all.pt")
    image = phantom()[:200, :160]
    image[:70] = 255
    label = np.zeros(image.shape, np.uint8)
    label[100:150, 20:90] = 255
    write_section(labelled / "image.png", image)
    write_section(labelled / "label.png", label)
    items = [{"image": "image.png", "label": "label.png", "region": [40, 0, 200, 160]}]
    (labelled / "datalist.json").write_text(json.dumps({"training": items, "validation": items, "test": items}))
    run_config(
        "inference",
        "evaluate",
        dataset_dir=str(labelled),
        checkpoint=str(tmp_path / "all.pt"),
        output_dir=str(tmp_path / "out"),
        network_def=network,
        width=0.5,
    )
    (row,) = csv.DictReader((tmp_path / "out" / "jaccard.csv").read_text().splitlines())
    for name in ("without_crf", "with_crf"):
        assert int(row[f"{name}_true"]) == 50 * 70
        assert 0.96 * 130 * 160 <= int(row[f"{name}_true"]) + int(row[f"{name}_false"]) <= 130 * 160
    overlay = read_picture(tmp_path / "out" / "overlays" / "0000_image.png")
    assert (overlay[:30] == 255).all()


def read_picture(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path)).swapaxes(0, 1)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("tisue", ValueError, "equalize must be one of tissue, section, none, but got 'tisue'"),
        (True, TypeError, "setting 'equalize' must be of type str"),
    ],
)
@pytest.mark.parametrize("configs", [("inference",), ("train",), ("inference", "evaluate")])
def test_an_unknown_way_to_equalise_is_refused_at_once(
    run_config: Callable, tiny_phantom: Path, tmp_path: Path, configs: tuple, value: object, error: type, message: str
) -> None:
    infer = configs == ("inference",)
    source = tiny_phantom / "images" if infer else tiny_phantom
    with pytest.raises(RuntimeError) as caught:
        run_config(
            *configs,
            dataset_dir=str(source),
            output_dir=str(tmp_path / "out"),
            equalize=value,
        )
    cause = first_cause(caught.value)
    assert isinstance(cause, error)
    assert message in str(cause)
    assert not (tmp_path / "out").exists()
