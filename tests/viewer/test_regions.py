"""Regions as they are drawn, without a window."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bundle.viewer.project import Project
from bundle.viewer.regions import Region, mask_of, outline

BOX = np.array([[0, 20, 10], [0, 20, 90], [0, 60, 90], [0, 60, 10]], float)
"""(section, y, x)."""


class Stub(ModuleType):
    """A library of windows, of which all that is asked for is a class."""

    __path__ = ()

    def __getattr__(self, name: str) -> type:
        return type(name, (), {"__init__": lambda *_: None})


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """napari and Qt, or what stands for them where they are not installed."""
    names = {
        "napari": ("layers", "utils", "utils.colormaps", "utils.notifications"),
        "qtpy": ("QtCore", "QtGui", "QtWidgets"),
    }
    for name, parts in names.items():
        if importlib.util.find_spec(name) is None:
            for part in (name, *(f"{name}.{part}" for part in parts)):
                monkeypatch.setitem(sys.modules, part, Stub(part))
    known = {*sys.modules}
    yield
    for name in {*sys.modules} - known:  # modules of the viewer, whose base classes are stubs
        if name.startswith("bundle.viewer."):
            del sys.modules[name]


def layer(shape: str, corners: np.ndarray = BOX) -> Any:
    return SimpleNamespace(data=[corners], shape_type=[shape], features={"held_out": [None]})


def test_an_ellipse_is_no_rectangle() -> None:
    from bundle.viewer.layers import regions_of

    (region,) = regions_of(layer("ellipse"))
    y, x = np.mgrid[:80, :100]
    distance = np.hypot((y - 40) / 20, (x - 50) / 40)
    mask = mask_of([region], (80, 100), 0)
    assert mask[distance < 0.95].all()
    assert not mask[distance > 1.08].any()
    assert regions_of(layer("rectangle")) == [Region(0, tuple((y, x) for _, y, x in BOX))]


def test_an_ellipse_may_be_turned() -> None:
    turn = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    np.testing.assert_allclose(outline(BOX @ turn, "ellipse"), outline(BOX, "ellipse") @ turn)


@pytest.mark.parametrize("shape", ["line", "path"])
def test_what_encloses_nothing_is_refused(shape: str) -> None:
    from bundle.viewer.layers import regions_of

    with pytest.raises(ValueError, match=f"must be a rectangle, an ellipse or a polygon, but got a {shape}"):
        regions_of(layer(shape, BOX[:2]))


def test_nothing_is_segmented_where_the_regions_cannot_be_kept(stack: Path) -> None:
    from bundle.viewer.panel import Panel

    begun: list[str] = []
    panel = SimpleNamespace(
        project=Project(stack),
        regions=SimpleNamespace(**vars(layer("rectangle", BOX + np.array([0, 500, 500]))), feature_defaults={}),
        _saving=SimpleNamespace(stop=lambda: None),
        _settings=dict,
        _segmented=None,
        _begin=lambda job, *_, **__: begun.append(job),
        say=lambda *_, **__: None,
    )
    panel._keep_regions = partial(Panel._keep_regions, panel)
    with pytest.raises(ValueError, match="region 1 lies outside of the sections"):
        Panel._segment(panel, [0])
    assert begun == []
    panel.regions.data = [BOX]
    Panel._segment(panel, [0])
    assert begun == ["segment"]
    panel.project.close()
