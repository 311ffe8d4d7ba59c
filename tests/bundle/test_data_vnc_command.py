from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from public_sets import write_files

from bundle.data.fetch import PublicSet
from bundle.data.vnc import VNC, vnc


def test_vnc_lists_every_section_in_disjoint_regions() -> None:
    columns = {"training": (0, 384), "validation": (384, 512), "test": (544, 1024)}
    for part, (left, right) in columns.items():
        items = VNC.datalist[part]
        assert [item["region"] for item in items] == [[left, 0, right, 1024]] * 20
        assert {item[key] for item in items for key in ("image", "label")} == set(VNC.sha256)
        assert all(Path(item["image"]).stem == Path(item["label"]).stem for item in items)
    assert len(VNC.sha256) == len(set(VNC.sha256.values())) == 40


def test_vnc_says_what_it_wrote_and_the_licence(
    tmp_path: Path, unreachable: PublicSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["bundle.data.vnc"], "VNC", replace(VNC, url=unreachable.url, sha256=unreachable.sha256)
    )
    said = vnc(output=str(tmp_path / "output"), source=str(write_files(tmp_path / "source")))
    assert str(tmp_path / "output" / "datalist.json") in said
    assert "20 training, 20 validation, 20 test" in said
    assert "CC BY-NC-SA 3.0: non-commercial" in said
    assert "10.6084/m9.figshare.856713" in said
