from __future__ import annotations

import json
import logging.config
import re
import sys
from pathlib import Path

import pytest
from monai.bundle import verify_net_in_out

ROOT = Path(__file__).parents[2]
METADATA = json.loads((ROOT / "configs" / "metadata.json").read_text())
PINS = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE))


def test_versions_agree_with_the_pins() -> None:
    versions = {
        "monai": METADATA["monai_version"],
        "torch": METADATA["pytorch_version"],
        "numpy": METADATA["numpy_version"],
        **METADATA["required_packages_version"],
    }
    assert versions == {name: PINS[name] for name in versions}


def test_version_is_in_the_changelog() -> None:
    assert METADATA["version"] in METADATA["changelog"]


def test_input_and_output_are_what_servers_expect() -> None:
    data = METADATA["network_data_format"]
    assert next(iter(data["inputs"])) == "image"
    assert next(iter(data["outputs"])) == "pred"
    assert data["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "mitochondrion"}
    assert len(data["inputs"]["image"]["spatial_shape"]) == 2


def test_network_has_the_declared_input_and_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    verify_net_in_out(
        net_id="network_def",
        meta_file="configs/metadata.json",
        config_file="configs/inference.json",
        n=1,
        width=0.125,
        device="cpu",
    )


def test_logging_goes_to_standard_output() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logging.config.fileConfig(ROOT / "configs" / "logging.conf", disable_existing_loggers=False)
        assert [handler.stream for handler in root.handlers] == [sys.stdout]
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
