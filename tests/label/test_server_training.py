"""Training rounds of the server of `test_server.py`, which has the shipped weights before."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from monailabel_server import NAME, Server, segment
from scipy import ndimage

from bundle.runs import ROOT, score
from scripts.io import read_section, write_json, write_section
from scripts.weights import sha256_of


def test_correct_train_and_infer_again(server: Server, studies: Path, tissue: Path, tmp_path: Path) -> None:
    shipped = sha256_of(ROOT / "models" / "model.pt")
    before = server.mask("s3", tmp_path).read_bytes()
    answer = server("POST", f"/infer/{NAME}?image=s0&output=json", data={"params": json.dumps({"save_label": True})})
    assert answer.ok
    assert (studies / "labels" / "original" / "s0.png").exists()
    for number, values in ((0, 255), (1, 1)):  # both kinds of masks
        truth = read_section(sorted((tissue / "labels").glob("train*.png"))[number]) > 0
        wider = ndimage.binary_dilation(truth, iterations=5)  # the person draws around what the weights find
        label = (wider * values).astype(np.uint8)
        if values == 1:
            label[:60] = 2  # a second segment: nobody looked there
        write_section(tmp_path / "label.png", label)
        assert server.submit(f"s{number}", tmp_path / "label.png").ok
    assert server.ask("GET", "/datastore/")["completed"] == 2

    status = server.train(max_epochs=3, val_interval=1, learning_rate=1e-3)
    assert status["status"] == "DONE", "\n".join(status["details"])
    stats = server.ask("GET", "/info/")["train_stats"][NAME]
    assert stats["epoch"] == stats["total_epochs"] == 3
    assert stats["published"] is (stats["best_metric"] > stats["deployed_before"]) is True
    held_out = json.loads((server.models.parent / "held_out.json").read_text())
    items = [
        {
            "image": str(studies / name),
            "label": str(studies / "labels" / "final" / name),
            "region": region,
            "ignore_value": 2,
        }
        for name, region in held_out.items()
    ]
    write_json(tmp_path / "list.json", {"pixel_size_nm": 5, "validation": items})
    parts = {"part": "validation", "datalist": str(tmp_path / "list.json")}
    sections = score("inference", "evaluate", checkpoint=str(server.models / "shipped.pt"), patch_size=128, **parts)
    found, labels = ([s.mitochondria > 0.5 for s in sections], [s.label for s in sections])
    both, either = (
        sum(np.count_nonzero(op(f, t)) for f, t in zip(found, labels, strict=True))
        for op in (np.logical_and, np.logical_or)
    )
    assert stats["deployed_before"] == pytest.approx(both / either, abs=1e-3)
    assert any("training" in line and "loss" in line for line in status["details"])
    copies = [path for path in server.models.glob("*.pt") if path.name not in ("model.pt", "shipped.pt")]
    assert [path.read_bytes() for path in copies] == [(server.models / "model.pt").read_bytes()]
    assert sha256_of(server.models / "shipped.pt") == shipped == sha256_of(ROOT / "models" / "model.pt")

    after = server.mask("s3", tmp_path)
    assert after.read_bytes() != before
    expected = segment(studies / "s3.png", tmp_path / "cli", checkpoint=str(server.models / "model.pt"))
    np.testing.assert_array_equal(read_section(after), expected)
    assert server.mask("s3", tmp_path, model_filename="shipped.pt").read_bytes() == before


def test_worse_weights_do_not_replace_better_ones(server: Server) -> None:
    before = (server.models / "model.pt").read_bytes()
    status = server.train(max_epochs=1, learning_rate=10.0)
    assert status["status"] == "DONE", "\n".join(status["details"])
    stats = server.ask("GET", "/info/")["train_stats"][NAME]
    assert stats["published"] is False
    assert stats["best_metric"] < stats["deployed_before"]
    assert (server.models / "model.pt").read_bytes() == before


def test_bad_options_of_a_training_get_a_reason(server: Server) -> None:
    for options, reason in (
        ({"max_epochs": 0}, "max_epochs must be at least 1, but got 0"),
        ({"pixel_size": -5}, "a pixel size of -5 nm is out of range"),
        ({"val_split": 1.5}, "val_split must be a number between 0 and 1, but got 1.5"),
        ({"learning_rate": "fast"}, "'learning_rate' must be of type float"),
    ):
        answer = server("POST", f"/train/{NAME}?run_sync=true", json=options)
        assert (answer.status_code, reason in answer.json()["detail"]) == (400, True), answer.text
    status = server.train(model_filename="lost.pt")  # as clients do it, in the background
    assert status["status"] == "ERROR"
    assert "lost.pt: no such file of weights" in status["details"][-1]


def start_endless_training(server: Server) -> None:
    """Train until weights have been published or an epoch has passed."""
    known = set((server.models.parent / "trainings").iterdir())
    server.ask("POST", f"/train/{NAME}", json={"max_epochs": 1000, "val_interval": 1, "patches_per_section": 4})
    for _ in range(600):
        new = set((server.models.parent / "trainings").iterdir()) - known
        if new and (new.pop() / "checkpoint.pt").exists():
            return
        time.sleep(0.2)
    pytest.fail(str(server.ask("GET", "/train/")))


def usable(server: Server) -> bool:
    """Tell whether all weights can be loaded."""
    return all(torch.load(path, weights_only=True) for path in server.models.glob("*.pt"))


def test_a_cancelled_training_leaves_usable_weights(server: Server, tmp_path: Path) -> None:
    start_endless_training(server)
    assert server.ask("DELETE", "/train/")["status"] == "STOPPED"
    assert usable(server)
    assert server.mask("s3", tmp_path).exists()


def test_a_killed_server_leaves_usable_weights(server: Server, tmp_path: Path) -> None:
    start_endless_training(server)
    server.stop(signal.SIGKILL)
    assert usable(server)
    server.pixel_size = None  # it is known from the first start
    server.start()
    assert server.ask("GET", "/info/")["models"][NAME]["config"]["pixel_size"] == 5.0
    assert server.ask("GET", "/datastore/")["completed"] == 2
    assert server.mask("s3", tmp_path).exists()
    offered = server.ask("GET", "/info/")["models"][NAME]["config"]["model_filename"]
    assert sorted(offered) == sorted(path.name for path in server.models.glob("*.pt"))
    status = server.train(max_epochs=1)
    assert status["status"] == "DONE", "\n".join(status["details"])
