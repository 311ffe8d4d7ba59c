from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundle.data.fetch import PublicSet, fetch, pixel_digest
from bundle.data.small import SMALL, small
from scripts.io import load_sections, write_section


def test_small_sets_are_listed_whole_with_their_terms() -> None:
    assert [len(public_set.datalist["training"]) for public_set in SMALL.values()] == [2, 2, 4, 10, 6]
    for name, public_set in SMALL.items():
        datalist = public_set.datalist
        assert {item[key] for item in datalist["training"] for key in ("image", "label")} == set(public_set.sha256)
        assert datalist["name"] == name
        assert all(datalist[key] for key in ("licence", "release", "source", "reference", "pixel_size_nm"))
        assert datalist.get("pixel_size_estimated", False) == ("not published" in datalist["description"])


def test_small_sets_come_from_a_local_copy_only(
    tmp_path: Path, section: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source/mine"
    for name in ("images/a.png", "labels/a.png"):
        write_section(source / name, section)
    digest = pixel_digest((source / "images/a.png").read_bytes(), "a.png")
    item = {"image": "images/a.png", "label": "labels/a.png"}
    mine = PublicSet(
        sha256=dict.fromkeys(item.values(), digest),
        datalist={"name": "mine", "licence": "L", "reference": "R", "training": [item]},
        digest=pixel_digest,
    )
    monkeypatch.setitem(SMALL, "mine", mine)
    said = small("mine", source=str(source.parent), output=str(tmp_path / "data"))
    assert "mine/datalist.json: 1 training, 0 validation, 0 test regions" in said
    assert len(load_sections(tmp_path / "data/mine/datalist.json", "training")) == 1
    with pytest.raises(ValueError, match="mine is not served by any address"):
        fetch(mine, tmp_path / "other")
    write_section(source / "labels/a.png", section + 1)
    with pytest.raises(ValueError, match=r"labels/a.png of .*mine is not the published file"):
        small("mine", source=str(source.parent), output=str(tmp_path / "other"))
    with pytest.raises(ValueError, match="'yours' is none of the small sets liver_fibsem, "):
        small("yours", source=str(source.parent))
