"""What ships stands once: training, evaluation and inference agree on all that has to agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from scripts.weights import default_settings, read_record

ROOT = Path(__file__).parents[2]
WORKFLOWS = {"training": ("train",), "evaluation": ("inference", "evaluate"), "inference": ("inference",)}


def parsed(*names: str, **overrides: Any) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(ROOT / "configs" / f"{name}.json") for name in names])
    parser.update({"bundle_root": str(ROOT), "device": "cpu", **overrides})
    return parser


def of_network(parser: ConfigParser) -> dict[str, Any]:
    """Settings of the network, of what it sees and of the windows it sees it in."""
    plain = ("network_class", "width", "dropout", "downsampling", "network_pixel_size", "equalize", "equalize_clip")
    found = {key: parser.get_parsed_content(key) for key in (*plain, "overlap", "patch_size", "use_crf")}
    section, training = (
        ("preprocessing#transforms", "inferer"),
        ("validate#deterministic_transforms", "validate#inferer"),
    )
    transforms, inferer = training if "validate" in parser.get() else section
    load, *rest = parser.get_parsed_content(transforms)
    equalized = next(transform for transform in rest if type(transform).__name__ == "EqualizeSectiond")
    found["load"] = (load.pixel_size, load.default_pixel_size)
    found["equalized"] = (equalized.method, list(equalized.clip), equalized.tissue_key)
    inferer = parser.get_parsed_content(inferer)
    windows = inferer.inferer
    found["windows"] = (inferer.pixel_size, windows.roi_size, windows.overlap, windows.mode, windows.padding_mode)
    return found


@pytest.mark.parametrize("overrides", [{}, {"width": 0.125}, {"network_pixel_size": 7.0, "equalize": "none"}])
def test_network_and_preprocessing(overrides: dict) -> None:
    # the weights of a training are not there yet; those that ship have the defaults
    checkpoint = str(ROOT / "models" / "model.pt")
    found = {
        name: of_network(parsed(*configs, checkpoint=checkpoint, **overrides)) for name, configs in WORKFLOWS.items()
    }
    assert found["training"] == found["evaluation"] == found["inference"]
    for key, value in overrides.items():
        assert found["inference"][key] == value


def test_test_time_augmentation() -> None:
    for names in (("inference",), ("inference", "evaluate")):
        for augmented, views in ((False, 1), (True, 6)):
            parser = parsed(*names, checkpoint=str(ROOT / "models" / "model.pt"), test_time_augmentation=augmented)
            inferer = parser.get_parsed_content("inferer")
            assert len(inferer.scales) * len(inferer.flips) == views
            assert 1 in inferer.scales
            assert () in inferer.flips


def test_objects() -> None:
    objects, evaluation = parsed("objects"), parsed(*WORKFLOWS["evaluation"])
    for key in ("neck", "min_area"):
        assert objects.get_parsed_content(key) == evaluation.get_parsed_content(key)


def test_crf_and_thresholds() -> None:
    checkpoint = str(ROOT / "models" / "model.pt")
    inference, evaluation = (
        parsed(*WORKFLOWS[name], checkpoint=checkpoint, output_dir="out") for name in ("inference", "evaluation")
    )
    panels = parsed("train", init_checkpoint=checkpoint).get_parsed_content("validate#crf")
    crf = [parser.get_parsed_content("refinement").parameters for parser in (inference, evaluation)]
    recorded = {**read_record(checkpoint)["settings"]["crf"], "method": "grid"}
    assert crf[0] == crf[1] == panels.parameters == recorded
    from_scratch = parsed("train").get_parsed_content("validate#crf").parameters
    assert from_scratch == {**default_settings()["crf"], "method": "grid"}
    report = evaluation.get_parsed_content("handlers")[-1]
    assert report.thresholds == inference.get_parsed_content("thresholds")


def test_a_training_records_what_it_was_run_with(tmp_path: Path) -> None:
    parser = parsed("train", dataset_dir=str(tmp_path), width=0.25, equalize="section")
    record = parser.get_parsed_content("training_record")
    assert record["settings"] == {**default_settings(), "width": 0.25, "equalize": "section"}


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "configs").glob("*.json")))
def test_no_number_of_the_post_processing_stands_twice(name: str) -> None:
    content = json.loads((ROOT / "configs" / f"{name}.json").read_text())
    content.get("defaults", {}).clear()
    text = json.dumps(content)
    for value in default_settings()["crf"].items():
        assert f'"{value[0]}": {value[1]}' not in text
    for key in ("threshold", "threshold_without_crf", "overlap", "equalize"):
        assert not isinstance(content.get(key), float | bool)
        assert str(content.get(key, "$")).startswith("$")


@pytest.mark.parametrize("name", ["train", "inference", "evaluate", "unet", "multi_gpu"])
def test_a_config_opens_with_headings_and_is_short(name: str) -> None:
    text = (ROOT / "configs" / f"{name}.json").read_text()
    keys = [key for key in json.loads(text) if key != "imports"]
    assert keys[0] == "_files_"
    assert len(text.splitlines()) < 322  # the median of the zoo


@pytest.mark.parametrize(
    ("weights", "network", "width"),
    [
        ("models/model.pt", "FusionFCN", 0.5),
        ("models/unet/model.pt", "UNet", 0.25),
        ("models/ensemble/model.pt", "Ensemble", 0.5),
        ("models/synthetic/model.pt", "FusionFCN", 0.5),
        ("models/synthetic/unet/model.pt", "UNet", 0.25),
    ],
)
def test_the_checkpoint_alone_names_the_network(weights: str, network: str, width: float) -> None:
    for configs, key in ((("inference",), "checkpoint"), (("train",), "init_checkpoint")):
        parser = parsed(*configs, **{key: str(ROOT / weights)})
        assert type(parser.get_parsed_content("network_def")).__name__ == network
        assert parser.get_parsed_content("width") == width
