from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from scripts.config import compare_settings, explain_errors, first_cause, require, require_between, unused_settings
from scripts.config.overrides import known_settings

ROOT = Path(__file__).parents[2]

DEFAULTS = {
    "learning_rate": [0.001, 0.003],
    "epochs": [100],
    "use_crf": [True],
    "patch_size": [[512, 512]],
    "seed": [0],
}
DEFAULTS |= {"train": [{"trainer": {"_target_": "Trainer"}}]}
DEFAULTS |= {
    "encoder_weights": [None],
    "device": ["$torch.device('cpu')"],
    "ckpt_dir": ["$'runs'"],
    "crf": [{"iterations": 5}],
}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"learning_rate": 1, "epochs": 3, "use_crf": False},
        {"patch_size": [64, 96], "encoder_weights": "imagenet", "device": "cuda:1", "crf": {}},
        {"epochs": "$2 * 5", "_my_note": 1},
        {"tracking_uri": "$'mlruns'", "run_name": None},
        {"crf": {"iterations": 7}, "train": {"trainer": {"_target_": "Trainer", "left_to": "the component"}}},
    ],
)
def test_what_is_known_passes(config: dict) -> None:
    compare_settings(config, DEFAULTS)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"lerning_rate": 0.1}, ValueError, "unknown setting 'lerning_rate' = 0.1; did you mean 'learning_rate'"),
        ({"zzz": 1}, ValueError, "unknown setting 'zzz' = 1$"),
        ({"epochs": 1.5}, TypeError, "'epochs' must be of type int, such as 100, but got 1.5 of type float"),
        ({"epochs": True}, TypeError, "'epochs' must be of type int.* got True"),
        ({"learning_rate": "high"}, TypeError, "'learning_rate' must be of type float.* got 'high'"),
        ({"use_crf": 1}, TypeError, "'use_crf' must be of type bool.* got 1"),
        ({"use_crf": "no"}, TypeError, "'use_crf' must be of type bool.* got 'no'"),
        ({"patch_size": [64, "x"]}, TypeError, "'patch_size'"),
        ({"crf": 3}, TypeError, "'crf' must be of type dict.* got 3"),
        ({"crf": {"iteration": 3}}, ValueError, "'crf#iteration' = 3; did you mean 'crf#iterations'"),
        ({"crf": {"iterations": 2.5}}, TypeError, "'crf#iterations' must be of type int.* got 2.5"),
        ({"train": {"traner": {}}}, ValueError, "'train#traner' = {}; did you mean 'train#trainer'"),
    ],
)
def test_what_is_not_known_is_named(config: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        compare_settings(config, DEFAULTS)


def test_requirement() -> None:
    require(True, "never said")
    with pytest.raises(ValueError, match="one or the other"):
        require(False, "one or the other")


def test_the_first_cause_stands_last(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    explain_errors()
    error = RuntimeError("entry failed")
    error.__cause__ = ValueError("section 7 is torn")
    sys.excepthook(RuntimeError, error, None)
    said = capsys.readouterr().err.strip().splitlines()
    assert "RuntimeError: entry failed" in said
    assert said[-1] == "Cause: ValueError: section 7 is torn"


class _Broken(Dataset):
    """A data set that fails as MONAI's do: an error of a transform, raised on as another."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        try:
            try:
                {}["shape"]
            except KeyError:
                raise ValueError("a.tif: is torn\n  in two") from OSError("disk: full")
        except ValueError as error:
            raise RuntimeError("applying transform") from error


@pytest.mark.slow
def test_the_first_cause_in_a_loading_worker() -> None:
    with pytest.raises(RuntimeError, match="Caught RuntimeError in DataLoader worker") as caught:
        next(iter(DataLoader(_Broken(), num_workers=1)))
    cause = first_cause(caught.value)
    assert isinstance(cause, OSError)
    assert str(cause) == "disk: full"


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        ("ValueError: a.tif: is torn\nin two", ValueError, "a.tif: is torn\nin two"),
        ("AssertionError", AssertionError, ""),
        ("tifffile.TiffFileError: no TIFF", RuntimeError, "tifffile.TiffFileError: no TIFF"),
        ("UnicodeDecodeError: 'utf-8' codec", RuntimeError, "UnicodeDecodeError: 'utf-8' codec"),
    ],
)
def test_errors_of_a_loading_worker_by_their_text(lines: str, kind: type[Exception], message: str) -> None:
    frames = 'Traceback (most recent call last):\n  File "a.py", line 1, in read\n    read()\n'
    text = f"Caught RuntimeError in DataLoader worker process 3.\nOriginal {frames}{lines}\n"
    chained = (
        f"\nThe above exception was the direct cause of the following exception:\n\n{frames}RuntimeError: transform\n"
    )
    for error in (text, text + chained):
        cause = first_cause(RuntimeError(error))
        assert type(cause) is kind
        assert str(cause) == message
    other = RuntimeError("Caught a cold")
    assert first_cause(other) is other


def test_range() -> None:
    require_between(0, 1, threshold=0.5, share=1e-9)
    for value in (0, 1, 7, float("nan"), True, "0.5", None):
        with pytest.raises(ValueError, match=rf"share must be a number between 0 and 1, but got {value!r}"):
            require_between(0, 1, threshold=0.5, share=value)


def test_a_setting_that_nothing_refers_to() -> None:
    defaults = {"threshold": [0.34], "width": [0.5], "bundle_root": ["."], "note": ["a"]}
    config = {"threshold": 0.7, "train": {"width": "@train#threshold_of"}, "width": 0.25, "bundle_root": "/elsewhere"}
    assert unused_settings(config, defaults) == ["threshold", "width"]
    assert unused_settings({**config, "net": [{"width": "$2 * @width"}, "@threshold"]}, defaults) == []
    assert unused_settings({"threshold": 0.34, "note": "$@note"}, defaults) == []


def test_types_of_settings_that_are_read_from_the_record() -> None:
    known = known_settings(ROOT / "configs")
    compare_settings({"width": 1, "crf": {"iterations": 3}, "_my_heading_": "", "defaults": {"width": 0.25}}, known)
    for config, name in (({"width": "half"}, "width"), ({"crf": {"iterations": 2.5}}, "crf#iterations")):
        with pytest.raises(TypeError, match=name):
            compare_settings(config, known)
