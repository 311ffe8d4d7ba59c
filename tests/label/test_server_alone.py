"""A server without other bundles imports `scripts` once, and is otherwise like the one with others."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from monailabel_server import Server, segment

from scripts.io import read_section, write_section


def test_proposals_training_and_new_proposals(tissue: Path, tmp_path: Path) -> None:
    python = os.environ.get("LABEL_PYTHON")
    if python is None:
        pytest.skip("needs MONAI Label's environment: `make test_label` makes it and sets LABEL_PYTHON")
    studies = tmp_path / "sections"
    images, labels = (sorted((tissue / name).glob("train*.png"))[:3] for name in ("images", "labels"))
    for number, image in enumerate(images):
        write_section(studies / f"s{number}.png", read_section(image))
    server = Server(python, studies, pixel_size=5)
    server.start()
    try:
        for settings in ({}, {"use_crf": False, "threshold_without_crf": 0.2}):
            expected = segment(studies / "s0.png", tmp_path / str(len(settings)), **settings)
            np.testing.assert_array_equal(read_section(server.mask("s0", tmp_path, **settings)) > 0, expected)
        for number in (1, 2):
            assert server.submit(f"s{number}", labels[number]).ok
        status = server.train(max_epochs=1, val_interval=1)
        assert status["status"] == "DONE", "\n".join(status["details"])
        weights = {"checkpoint": str(server.models / "model.pt")}
        expected = segment(studies / "s0.png", tmp_path / "after", **weights)
        np.testing.assert_array_equal(read_section(server.mask("s0", tmp_path)) > 0, expected)
    finally:
        server.stop()
    assert "Remove/Reload" not in server.log.read_text()
