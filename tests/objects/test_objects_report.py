"""The report in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from scripts.figures import colours_of
from scripts.io import write_section
from scripts.objects import MaskStack, ObjectAnalysis
from scripts.objects.report import histogram_svg

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    x, y = np.mgrid[:120, :90]
    for index in range(3):
        mask = np.hypot(x - 60, y - 40) <= 12 + index
        write_section(tmp_path / "masks" / f"a<b{index}.png", (255 * mask).astype(np.uint8))
    analysis = ObjectAnalysis(MaskStack(tmp_path / "masks"), tmp_path / "out", section_thickness=50)
    analysis.check()
    analysis.run()
    return tmp_path / "out" / "report.html"


def test_it_stands_alone_and_holds_every_number(report: Path) -> None:
    page = report.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    summary = json.loads((report.parent / "summary.json").read_text())
    for warning in summary["warnings"]:
        assert f'<p class="warning">{warning}</p>' in page
    numbers = [summary[name] for name in ("objects", "profiles", "area_fraction", "profile_density_per_px2")]
    numbers += [entry["mean"] for entry in summary["distributions"].values() if entry["mean"] is not None]
    for number in numbers:
        assert f">{number:.5g}<" in page
    assert page.count("data:image/jpeg") == 3
    assert "a&lt;b0.png" in page


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_it_is_looked_at_in_a_browser(report: Path, tmp_path: Path) -> None:
    """Its script runs: the first section is shown, and named."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=3000", "--dump-dom", report.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert '<span id="name">section 0: a&lt;b0.png</span>' in done.stdout
    assert done.stdout.count('class="shown"') == 1


def test_histogram() -> None:
    svg = histogram_svg(np.array([1.0, 1, 1, 2, 3]), "a < b")
    assert svg.count("<rect") == 30
    assert "a &lt; b: median 1, n = 5" in svg
    assert "nan" not in histogram_svg(np.array([2.0, 2 + 1e-12]), "same")


def test_neighbouring_numbers_differ_in_colour() -> None:
    colours = colours_of(100).astype(int)
    assert np.abs(np.diff(colours, axis=0)).sum(axis=1).min() > 60
