from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from scripts.config import overridden
from scripts.handlers import load_weights
from scripts.networks import FusionFCN
from scripts.weights import (
    copy_weights,
    default_settings,
    read_record,
    record_path,
    save_weights,
    settings_of,
    sha256_of,
    training_data,
    training_record,
)

ROOT = Path(__file__).parents[1]
STATE = {"weight": torch.tensor([1.0])}


def test_record_and_weights_belong_together(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_weights(STATE, path, {"settings": {"width": 0.25}, "seed": 3})
    assert read_record(path) == {"settings": {"width": 0.25}, "seed": 3, "sha256": sha256_of(path)}
    settings = settings_of(path)
    assert settings == {**default_settings(), "width": 0.25, "file": str(tmp_path / "a.json")}
    torch.save({"weight": torch.tensor([2.0])}, path)
    with pytest.raises(ValueError, match=r"a\.json: .*a\.pt"):
        settings_of(path)


@pytest.mark.parametrize(
    "content", ["no JSON", "[]", '{"sha256": "0"}', '{"sha256": "0", "settings": {"widht": 1}}', '{"settings": {}}']
)
def test_a_file_that_is_no_record(tmp_path: Path, content: str) -> None:
    torch.save(STATE, tmp_path / "a.pt")
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"a\.json"):
        settings_of(tmp_path / "a.pt")


def test_weights_without_a_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(STATE, tmp_path / "a.pt")
    with caplog.at_level(logging.INFO):
        assert settings_of(tmp_path / "a.pt", {"width": 0.25}) == {**default_settings(), "width": 0.25, "file": None}
    assert str(tmp_path / "a.pt") in caplog.text
    caplog.clear()
    assert settings_of(None)["file"] is None
    assert not caplog.text


def test_a_copy_has_the_record_too(tmp_path: Path) -> None:
    save_weights(STATE, tmp_path / "a.pt", {"settings": {"width": 0.25}})
    copy_weights(tmp_path / "a.pt", tmp_path / "b" / "c.pt")
    assert read_record(tmp_path / "b" / "c.pt") == read_record(tmp_path / "a.pt")
    record_path(tmp_path / "a.pt").unlink()
    copy_weights(tmp_path / "a.pt", tmp_path / "b" / "c.pt")
    assert not record_path(tmp_path / "b" / "c.pt").exists()


def test_a_record_that_does_not_fit_the_state_dict(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_weights(FusionFCN(width=0.125).state_dict(), tmp_path / "a.pt", {"settings": {"width": 0.25}})
    with pytest.raises(ValueError, match=r"a\.pt: .*a\.json"):
        load_weights(FusionFCN(width=settings_of(tmp_path / "a.pt")["width"]), tmp_path / "a.pt")


def test_training_data_of_the_initial_weights_are_named_too(tmp_path: Path) -> None:
    save_weights(STATE, tmp_path / "a.pt", {"settings": {}, "training_data": {"vnc": "CC BY-NC-SA"}})
    (tmp_path / "datalist.json").write_text(json.dumps({"name": "own", "licence": "CC0-1.0"}))
    record = training_record({}, settings_of(None), tmp_path / "datalist.json", 0, tmp_path / "a.pt")
    assert record["training_data"] == {"vnc": "CC BY-NC-SA", "own": "CC0-1.0"}


def test_initial_weights_without_a_record_are_named_themselves(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.pt")
    torch.save({"weight": torch.tensor([2.0])}, tmp_path / "resnet.pth")
    (tmp_path / "datalist.json").write_text(json.dumps({"name": "own", "licence": "CC0-1.0"}))
    common = ({}, settings_of(None), tmp_path / "datalist.json", 0)
    record = training_record(*common, tmp_path / "a.pt", encoder_weights=str(tmp_path / "resnet.pth"))
    assert record["training_data"] == {
        f"resnet.pth, sha256 {sha256_of(tmp_path / 'resnet.pth')}": "not known",
        f"a.pt, sha256 {sha256_of(tmp_path / 'a.pt')}": "not known",
        "own": "CC0-1.0",
    }
    assert training_record(*common, encoder_weights="imagenet")["training_data"] == {
        "imagenet": "not known",
        "own": "CC0-1.0",
    }
    # a checkpoint holds its record, and it is passed on
    torch.save({"network": STATE, "record": {"settings": {}, "training_data": {"vnc": "MIT"}}}, tmp_path / "c.pt")
    assert training_record(*common, tmp_path / "c.pt")["training_data"] == {"vnc": "MIT", "own": "CC0-1.0"}


def test_a_list_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors of Windows begin files with one."""
    (tmp_path / "datalist.json").write_text('\ufeff{"name": "own", "licence": "MIT"}', encoding="utf-8")
    assert training_data(tmp_path / "datalist.json") == {"own": "MIT"}
    (tmp_path / "datalist.json").write_text("{")
    with pytest.raises(ValueError, match=r"datalist\.json: is not JSON"):
        training_data(tmp_path / "datalist.json")


def test_what_overrides_a_record() -> None:
    record = {"width": 0.5, "equalize": "tissue", "crf": {"iterations": 5}, "file": "model.json"}
    config = {"width": 0.25, "equalize": "tissue", "crf": {"iterations": 7}}
    assert overridden(config, record) == [("width", 0.25, 0.5), ("crf#iterations", 7, 5)]
    assert overridden({"width": "$@record['width']"}, record) == []
    assert overridden(config, {**record, "file": None}) == []


@pytest.mark.parametrize("folder", ["", "unet", "ensemble", "synthetic", "synthetic/unet"])
def test_shipped_weights_have_their_records(folder: str) -> None:
    assert read_record(ROOT / "models" / folder / "model.pt")["settings"].keys() == default_settings().keys()
