"""What can be told of the labelling server without MONAI Label; tests/label has the real one."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest

from bundle.label.serve import _provide_weights, keep_pixel_size, prepare_app, serve
from bundle.release.package import NAME
from bundle.runs import ROOT
from scripts.io import write_section
from scripts.weights import sha256_of


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app whose stock part is there already."""
    folder = tmp_path / "sections" / "monailabel"
    folder.mkdir(parents=True)
    (folder / "monaibundle.py").touch()
    return folder


def test_the_app_has_the_configs_from_here_and_weights_of_its_own(app: Path) -> None:
    for _ in range(2):  # the second start finds all of it
        assert prepare_app(app.parent) == (app, [NAME])
        home = app / "model" / NAME
        assert (home / "configs").resolve() == ROOT / "configs"
        assert (home / "scripts").resolve() == ROOT / "scripts"
        for name in ("model.pt", "shipped.pt"):
            assert not (home / "models" / name).is_symlink()
            assert sha256_of(home / "models" / name) == sha256_of(ROOT / "models" / "model.pt")


def test_trained_weights_survive_a_start(app: Path) -> None:
    prepare_app(app.parent)
    models = app / "model" / NAME / "models"
    (models / "model.pt").write_bytes(b"trained")
    (models / ".writing-killed").mkdir()
    prepare_app(app.parent)
    assert (models / "model.pt").read_bytes() == b"trained"
    assert sorted(path.name for path in models.iterdir()) == ["model.json", "model.pt", "shipped.json", "shipped.pt"]


def test_new_shipped_weights_take_the_place_of_untrained_ones_only(tmp_path: Path) -> None:
    for name in ("model.pt", "shipped.pt"):
        (tmp_path / name).write_bytes(b"shipped once")
    _provide_weights(tmp_path)
    assert sha256_of(tmp_path / "model.pt") == sha256_of(ROOT / "models" / "model.pt")
    (tmp_path / "shipped.pt").write_bytes(b"shipped once")
    (tmp_path / "model.pt").write_bytes(b"trained")
    _provide_weights(tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == b"trained"
    assert sha256_of(tmp_path / "shipped.pt") == sha256_of(ROOT / "models" / "model.pt")


def test_other_bundles_are_served_by_their_names(app: Path, tmp_path: Path) -> None:
    for folder in ("a/other", "b/other"):
        (tmp_path / folder / "configs").mkdir(parents=True)
    assert prepare_app(app.parent, str(tmp_path / "a" / "other"))[1] == [NAME, "other"]
    with pytest.raises(ValueError, match="there is another bundle named other"):
        prepare_app(app.parent, str(tmp_path / "a" / "other"), str(tmp_path / "b" / "other"))
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: is no MONAI bundle"):
        prepare_app(app.parent, str(tmp_path))


def test_the_pixel_size_is_kept_with_the_folder(app: Path, capsys: pytest.CaptureFixture) -> None:
    assert keep_pixel_size(app, None) is None
    assert "the pixel size of the sections is not known: they are taken as they are" in capsys.readouterr().err
    assert keep_pixel_size(app, [4, 6.5]) == [4, 6.5]
    for stated in (None, [4, 6.5]):
        assert keep_pixel_size(app, stated) == [4, 6.5]
    assert not capsys.readouterr().err
    record = app / "pixel_size.json"
    with pytest.raises(ValueError, match=r"--pixel_size says 5 nm, but .* as 4 x 6\.5 nm before") as caught:
        keep_pixel_size(app, 5)
    assert f"remove {record}" in str(caught.value)
    record.unlink()
    assert keep_pixel_size(app, 5) == [5, 5]
    for content in ("{", "[]", '{"pixel_size_nm": -5}'):
        record.write_text(content)
        with pytest.raises(ValueError, match=re.escape(f"{record}: is damaged")):
            keep_pixel_size(app, 5)


@pytest.mark.parametrize("value", [0, -5, 5e-9, "five", [5, 5, 50], True])
def test_what_is_no_pixel_size_is_not_kept(app: Path, value: object) -> None:
    with pytest.raises(ValueError, match=r"^--pixel_size: a pixel size"):
        keep_pixel_size(app, value)
    assert not (app / "pixel_size.json").exists()


def test_a_pixel_size_stated_later_makes_what_was_measured_void(app: Path, capsys: pytest.CaptureFixture) -> None:
    prepare_app(app.parent)
    weights = app / "model" / NAME / "models" / "model.pt"
    os.utime(weights, (1, 1))
    keep_pixel_size(app, None)
    assert weights.stat().st_mtime == 1
    keep_pixel_size(app, 5)
    measured_again_from = weights.stat().st_mtime
    assert measured_again_from > 1
    assert "trained here before" not in capsys.readouterr().err
    keep_pixel_size(app, 5)
    assert weights.stat().st_mtime == measured_again_from
    (app / "pixel_size.json").unlink()
    (app / "model" / NAME / "trainings" / "one").mkdir(parents=True)
    keep_pixel_size(app, 5)
    assert "weights that were trained here before have seen the sections as they are" in capsys.readouterr().err


def test_bad_folders_and_ports(tmp_path: Path, tiny_phantom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="MONAI Label is not installed here; `make label`"):
        serve(str(tiny_phantom / "images"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path / 'none'}: no such folder")):
        serve(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="holds no sections; supported formats"):
        serve(str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: the server cannot listen there"):
            serve(str(tiny_phantom / "images"), port=port)


@pytest.mark.parametrize("port", ["http", 8000.5, True, None])
def test_a_port_is_a_whole_number(tiny_phantom: Path, monkeypatch: pytest.MonkeyPatch, port: object) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    with pytest.raises(ValueError, match=f"--port must be a whole number, but got {port!r}"):
        serve(str(tiny_phantom / "images"), port=port)


def test_damaged_sections_and_stacks_are_warned_of(
    app: Path, section: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write_section(app.parent / "stack.tif", np.stack([section, section], axis=-1))
    (app.parent / "damaged.png").write_bytes(b"nothing")
    started = []
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    serve(str(app.parent), port=0, pixel_size=5)
    printed = capsys.readouterr()
    assert "stack.tif: is a stack of 2 sections; MONAI Label needs a file for each" in printed.err
    assert "damaged.png: cannot be read" in printed.err
    (_, command, environment), *_ = started
    assert f"--studies={app.parent}" in command
    assert json.loads(command[command.index("pixel_size") + 1]) == [5, 5]
    assert "--host=127.0.0.1" in command
    assert '"*.tiff"' in environment["MONAI_LABEL_DATASTORE_FILE_EXT"]
