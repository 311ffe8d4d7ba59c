"""Numbers that become labels of a volume lie at the places of their sections."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import zarr

from scripts.io import write_section
from scripts.io.volume import Volume
from scripts.objects import MaskStack, ObjectAnalysis

SHAPE = (6, 30, 40)
COLUMNS = [3 + 2 * index for index in range(6)]
"""Where the mask of each section begins: it tells which section it is of."""


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Sections, a volume of them, and masks of all but the third and the last."""
    volume = Volume.create(tmp_path / "v.zarr", SHAPE, np.uint8, (50, 5, 5))
    for index, column in enumerate(COLUMNS):
        grey = np.random.default_rng(index).integers(1, 255, SHAPE[1:], np.uint8)
        volume.write(index, grey)
        write_section(tmp_path / "sections" / f"s{index}.tif", grey.T)
        mask = np.zeros(SHAPE[1:], np.uint8)
        mask[10:20, column : column + 20] = 255
        if index not in (2, 5):
            write_section(tmp_path / "masks" / f"s{index}_mitochondria.tif", mask.T, result=True)
    volume.complete()
    return tmp_path


def label(stack: Path, volume: str = "v.zarr", **options: object) -> list[int | None]:
    """The first column with a number in each plane of the labels."""
    sections = stack / "sections" if options.pop("sections", True) else None
    masks = MaskStack(stack / "masks", sections, missing_sections=options.pop("missing", ()))
    analysis = ObjectAnalysis(
        masks, stack / "out", pixel_size=5, section_thickness=50, labels_of=stack / volume, **options
    )
    analysis.check()
    analysis.run()
    labels = zarr.open_group(stack / volume / "labels" / "mitochondria", mode="r")["0"][:]
    return [int(np.nonzero(plane.any(0))[0][0]) if plane.any() else None for plane in labels]


def test_labels_lie_where_their_sections_are(stack: Path) -> None:
    expected = [*COLUMNS[:2], None, *COLUMNS[3:5], None]
    assert label(stack) == expected
    assert label(stack, sections=False, missing=[2], overwrite=True) == expected


def test_a_volume_that_lacks_the_missing_sections_too(stack: Path) -> None:
    Volume.create(stack / "four.zarr", (4, *SHAPE[1:]), np.uint8, (50, 5, 5)).complete()
    assert label(stack, "four.zarr", sections=False, missing=[2]) == [*COLUMNS[:2], *COLUMNS[3:5]]


def test_masks_whose_places_are_not_known(stack: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert label(stack, sections=False) == [*COLUMNS[:2], *COLUMNS[3:5], None, None]
    assert "v.zarr: has 6 sections, and there are 4 masks" in caplog.text


@pytest.mark.parametrize("shape", [(6, 30, 41), (3, 30, 40)])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_volume_of_another_shape_is_refused_before_the_work(
    stack: Path, shape: tuple[int, int, int], overwrite: bool
) -> None:
    Volume.create(stack / "other.zarr", shape, np.uint8, (50, 5, 5)).complete()
    with pytest.raises(ValueError, match=r"other\.zarr: labels_of must be a volume of 5 sections or more of 40x30"):
        label(stack, "other.zarr", overwrite=overwrite)
    assert not (stack / "other.zarr" / "labels").exists()
