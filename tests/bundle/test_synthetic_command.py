from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data_sets import contents, read
from monai.data import load_decathlon_datalist

import bundle.data.synthetic
from bundle.__main__ import main
from bundle.data.synthetic import synthetic
from scripts.synthetic import KINDS

TINY = {"sections": 6, "size": 64, "workers": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "deep" / "synthetic"
    synthetic(str(folder), seed=3, **TINY)
    return folder


def test_files(made):
    names = [f"training_{i:05d}" for i in range(4)] + ["validation_00000", "test_00000"]
    pictures = {f"{kind}/{name}.png" for kind in ("images", "labels") for name in names}
    assert contents(made).keys() == pictures | {"datalist.json", "preview.png"}
    assert [path.name for path in made.parent.iterdir()] == ["synthetic"]
    for name in names:
        image, label = read(made / f"images/{name}.png"), read(made / f"labels/{name}.png")
        assert image.shape == label.shape == (64, 64)
        assert image.dtype == label.dtype == np.uint8
        assert set(np.unique(label)) <= {0, 255}
    assert read(made / "preview.png").shape == (64, 6 * 64, 3)


def test_datalist(made):
    datalist = json.loads((made / "datalist.json").read_text())
    assert datalist["name"] == "synthetic"
    assert datalist["licence"] == "CC0-1.0"
    assert datalist["pixel_size_nm"] == 10.0
    assert sum(datalist["tissue"].values()) == 6
    assert datalist["tissue"].keys() == KINDS.keys()
    assert [len(datalist[split]) for split in ("training", "validation", "test")] == [4, 1, 1]
    for split in ("training", "validation", "test"):
        for item in load_decathlon_datalist(made / "datalist.json", data_list_key=split):
            assert Path(item["image"]).is_file()
            assert Path(item["label"]).is_file()


def test_all_sections_differ(made):
    pictures = [path.read_bytes() for path in (made / "images").iterdir()]
    assert len(set(pictures)) == len(pictures) == 6


@pytest.mark.slow
def test_same_arguments_same_files_whatever_the_workers(made, tmp_path):
    synthetic(str(tmp_path / "again"), seed=3, **TINY | {"workers": 2})
    assert contents(tmp_path / "again") == contents(made)


def test_shares():
    assert bundle.data.synthetic._parts(1000, 0.05, 0.05) == (900, 50, 50)
    assert bundle.data.synthetic._parts(10, 0.01, 0.3) == (6, 1, 3)


def test_complete_output_is_left_alone(made, monkeypatch):
    monkeypatch.setattr(bundle.data.synthetic, "_make", None)  # would fail if called
    assert "already" in synthetic(str(made), seed=3, **TINY)


def test_other_content_is_refused_or_replaced_on_request(tmp_path):
    folder = tmp_path / "synthetic"
    synthetic(str(folder), seed=0, **TINY)
    (folder / "notes.txt").write_text("mine")
    before = contents(folder)
    with pytest.raises(FileExistsError, match="--overwrite"):
        synthetic(str(folder), seed=1, **TINY)
    assert contents(folder) == before
    synthetic(str(folder), seed=1, overwrite=True, **TINY)
    after = contents(folder)
    assert after["notes.txt"] == b"mine"
    assert after["images/training_00000.png"] != before["images/training_00000.png"]


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle.data.synthetic, "synthetic_section", interrupt)
    with pytest.raises(KeyboardInterrupt):
        synthetic(str(tmp_path / "synthetic"), **TINY)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": 7}, "output .* 7"),
        ({"output": ""}, "output"),
        ({"sections": 2}, "sections .* 3 .* 2"),
        ({"sections": 10.5}, "sections .* 10.5"),
        ({"size": 63}, "size .* 64 .* 63"),
        ({"seed": -1}, "seed .* -1"),
        ({"seed": True}, "seed .* True"),
        ({"workers": -2}, "workers .* -2"),
        ({"pixel_size": 3}, "pixel_size .* 3"),
        ({"pixel_size": "10"}, "pixel_size .* '10'"),
        ({"pixel_size": float("nan")}, "pixel_size .* nan"),
        ({"validation": 0.0}, "validation .* 0.0"),
        ({"test": 1}, "test .* 1"),
        ({"validation": 0.5, "test": 0.5}, "no section for training"),
        ({"overwrite": "no"}, "overwrite .* 'no'"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        synthetic(**arguments)
    assert not list(tmp_path.iterdir())


def test_command_line(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "synthetic"
    monkeypatch.setattr(
        "sys.argv", ["bundle", "synthetic", "--output", str(folder), "--sections=3", "--size=64", "--workers=1"]
    )
    main()
    assert (folder / "datalist.json").is_file()
    assert str(folder) in capsys.readouterr().out


def test_help_explains_every_argument(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bundle", "synthetic", "--help"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    text = "".join(capsys.readouterr())
    for words in ("sections", "size", "pixel_size", "seed", "validation", "test", "workers", "overwrite"):
        assert f"--{words}" in text
