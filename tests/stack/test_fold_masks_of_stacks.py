"""Masks of folds beside the sections of a stack."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from stacks import FOLDED, align, alignment, errors, loaded, write_folder
from textures import REFERENCE, SIZE, imaged, truth

from scripts.io import write_section

pytestmark = pytest.mark.slow


def test_fold_masks_are_used(tmp_path: Path) -> None:
    sections = {"a.png": imaged(REFERENCE)[0], "b.png": imaged(FOLDED, fold=True)[0]}
    mask = imaged(FOLDED, fold=True)[1].edge < 2
    write_section(tmp_path / "folds" / "b.tif", np.where(mask, np.uint8(255), np.uint8(0)))
    folder = write_folder(tmp_path / "in", sections)
    report = align(folder, tmp_path / "out", reference=0, fold_masks_dir=tmp_path / "folds")
    widened = binary_dilation(mask, np.ones((3, 3)))
    assert report["sections"][1]["fold_fraction"] == pytest.approx(widened.mean(), abs=1e-3)
    np.testing.assert_array_equal(loaded(tmp_path / "out", "b").fold, widened)
    error = errors(tmp_path / "out", "b", "a", *truth(FOLDED, fold=True))
    assert np.nanmedian(error) < 1
    assert np.nanpercentile(error, 90) < 3


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"section_2.png": (250, 240)}, "section_2.png: .* 256x240 pixels, but got 250x240"),
        (
            {"section_3.png": SIZE, "section_3.tif": SIZE},
            r"section_3\.tif: must be the only fold mask of its section, but got .*section_3\.png as well",
        ),
        ({"section_7.png": SIZE}, "section_7.png: .* such as section_1, but got section_7"),
        (None, "folds: no such folder of fold masks"),
    ],
)
def test_fold_masks_that_do_not_fit(three: Path, tmp_path: Path, masks: dict | None, message: str) -> None:
    for name, size in (masks or {}).items():
        write_section(tmp_path / "folds" / name, np.zeros(size, np.uint8))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        alignment(three, tmp_path / "out", fold_masks_dir=tmp_path / "folds")
    assert not (tmp_path / "out").exists()


def test_changed_fold_masks_are_noticed(three: Path, tmp_path: Path) -> None:
    folds = tmp_path / "folds"
    write_section(folds / "section_1.png", np.zeros(SIZE, np.uint8))
    alignment(three, tmp_path / "out", fold_masks_dir=folds).check()
    os.utime(folds / "section_1.png", (0, 0))
    with pytest.raises(FileExistsError, match="what differs: fold_masks"):
        alignment(three, tmp_path / "out", fold_masks_dir=folds).check()
    write_section(folds / "section_1.png", np.full(SIZE, 7, np.uint8))
    with pytest.raises(ValueError, match=r"section_1\.png: label values run from 7 to 7"):
        alignment(three, tmp_path / "out", fold_masks_dir=folds, overwrite=True).check()
