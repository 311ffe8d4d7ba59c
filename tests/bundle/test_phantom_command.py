from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data_sets import contents, read
from monai.data import load_decathlon_datalist

import bundle.data.phantom
from bundle.__main__ import main
from bundle.data.phantom import phantom

TINY = {"size": 64, "sections": (2, 1, 1)}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "deep" / "phantom"
    phantom(str(folder), seed=3, **TINY)
    return folder


def test_files(made):
    names = ("training_000", "training_001", "validation_000", "test_000")
    pictures = {f"{kind}/{name}.png" for kind in ("images", "labels") for name in names}
    assert contents(made).keys() == pictures | {"datalist.json", "preview.png"}
    assert [path.name for path in made.parent.iterdir()] == ["phantom"]
    for name in names:
        image, label = read(made / f"images/{name}.png"), read(made / f"labels/{name}.png")
        assert image.shape == label.shape == (64, 64)
        assert image.dtype == label.dtype == np.uint8
        assert set(np.unique(label)) == {0, 255}
        assert image[label > 0].mean() < image[label == 0].mean()  # neither is turned against the other


def test_datalist(made):
    datalist = json.loads((made / "datalist.json").read_text())
    assert datalist["labels"] == {"0": "background", "1": "mitochondrion"}
    assert (datalist["pixel_size_nm"], datalist["section_thickness_nm"]) == (5.0, 50.0)
    assert [len(datalist[split]) for split in ("training", "validation", "test")] == [2, 1, 1]
    for split in ("training", "validation", "test"):
        for item in load_decathlon_datalist(made / "datalist.json", data_list_key=split):
            assert Path(item["image"]).is_file()
            assert Path(item["label"]).is_file()


def test_splits_show_different_tissue(made):
    labels = [read(made / f"labels/{split}_000.png") > 0 for split in ("training", "validation", "test")]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.mean(labels[first] != labels[second]) > 0.1


def test_same_arguments_same_files(made, tmp_path):
    phantom(str(tmp_path / "again"), seed=3, **TINY)
    assert contents(tmp_path / "again") == contents(made)


def test_complete_output_is_left_alone(made, monkeypatch):
    monkeypatch.setattr(bundle.data.phantom, "_make", None)  # would fail if called
    assert "already" in phantom(str(made), seed=3, **TINY)


def test_weights_in_the_list_leave_the_set_complete(tmp_path):
    phantom(str(tmp_path), **TINY)
    datalist = json.loads((tmp_path / "datalist.json").read_text())
    datalist["training"][0] |= {"weight": 2, "region": [0, 0, 32, 64]}
    (tmp_path / "datalist.json").write_text(json.dumps(datalist))
    before = contents(tmp_path)
    assert "already" in phantom(str(tmp_path), **TINY)
    assert contents(tmp_path) == before


def test_other_content_is_refused_or_replaced_on_request(tmp_path):
    phantom(str(tmp_path), seed=0, size=64, sections=(1, 1, 2))
    (tmp_path / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="--overwrite"):
        phantom(str(tmp_path), seed=1, size=64, sections=(1, 1, 1))
    assert contents(tmp_path) == before
    phantom(str(tmp_path), seed=1, size=64, sections=(1, 1, 1), overwrite=True)
    after = contents(tmp_path)
    assert after["notes.txt"] == b"mine"
    assert "images/test_001.png" not in after
    assert after["images/test_000.png"] != before["images/test_000.png"]


def test_incomplete_output_is_not_taken_for_complete(tmp_path):
    phantom(str(tmp_path), size=64, sections=(1, 1, 1))
    (tmp_path / "labels/test_000.png").unlink()
    with pytest.raises(FileExistsError, match="is not this phantom"):
        phantom(str(tmp_path), size=64, sections=(1, 1, 1))


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle.data.phantom, "acquire", interrupt)
    with pytest.raises(KeyboardInterrupt):
        phantom(str(tmp_path / "phantom"), **TINY)
    assert not list(tmp_path.iterdir())


def test_true_deformation_is_written_beside(tmp_path):
    phantom(str(tmp_path), size=128, sections=(2, 1, 1), misalign=True, folds=True)
    still = np.load(tmp_path / "deformation/training_000.npz")
    assert not still["displacement"].any()
    np.testing.assert_array_equal(
        read(tmp_path / "aligned/labels/training_000.png"), read(tmp_path / "labels/training_000.png")
    )

    moved = np.load(tmp_path / "deformation/training_001.npz")
    displacement, fold = moved["displacement"], moved["fold"]
    assert displacement.dtype == np.float32
    assert displacement.shape == (2, 128, 128)
    np.testing.assert_array_equal(np.isnan(displacement), np.stack([fold, fold]))
    positions = np.indices((128, 128)) + displacement
    inside = ~fold & (positions > 0).all(axis=0) & (positions < 127).all(axis=0)
    x, y = np.rint(positions[:, inside]).astype(int)
    label, aligned = (read(tmp_path / f"{kind}/training_001.png").T for kind in ("labels", "aligned/labels"))
    assert np.mean(label[inside] == aligned[x, y]) > 0.99
    assert np.mean(label != aligned) > 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": 7}, "output .* 7"),
        ({"output": ""}, "output"),
        ({"seed": -1}, "seed .* -1"),
        ({"seed": "x"}, "seed .* 'x'"),
        ({"seed": True}, "seed .* True"),
        ({"size": 63}, "size .* 64 .* 63"),
        ({"size": 100.5}, "size .* 100.5"),
        ({"sections": 12}, "sections .* 12"),
        ({"sections": (12, 4)}, "sections"),
        ({"sections": (12, 4, 0)}, "sections"),
        ({"misalign": "yes"}, "misalign .* 'yes'"),
        ({"folds": 1}, "folds"),
        ({"overwrite": "no"}, "overwrite"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        phantom(**arguments)
    assert not list(tmp_path.iterdir())


def test_command_line(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "phantom"
    monkeypatch.setattr("sys.argv", ["bundle", "phantom", "--output", str(folder), "--size=64", "--sections=1,1,1"])
    main()
    assert (folder / "datalist.json").is_file()
    assert str(folder) in capsys.readouterr().out


def test_command_line_error_is_one_line(monkeypatch):
    monkeypatch.setattr("sys.argv", ["bundle", "phantom", "--size", "12"])
    with pytest.raises(SystemExit, match=r"^error: size must be a whole number from 64 on, but got 12$"):
        main()


def test_help_explains_every_argument(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bundle", "phantom", "--help"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    text = "".join(capsys.readouterr())
    for words in ("--output", "--seed", "--size", "--sections", "--misalign", "--folds", "--overwrite", "displacement"):
        assert words in text
