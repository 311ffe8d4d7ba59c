from __future__ import annotations

from bundle.data.sbem import SBEM


def test_sbem_lists_every_section_once() -> None:
    names = [item["image"] for part in ("training", "validation", "test") for item in SBEM.datalist[part]]
    assert names == [f"images/{i:03d}.png" for i in range(10, 30)]
    assert len(SBEM.datalist["test"]) == 5
    assert set(SBEM.sha256) == set(SBEM.home) == {*names, *(name.replace("images", "labels") for name in names)}
