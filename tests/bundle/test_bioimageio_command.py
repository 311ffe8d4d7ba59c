"""The package for bioimage.io, opened by its own library from outside of the repository."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.release.bioimageio import EqualizedNetwork
from bundle.runs import ROOT, run
from scripts.io import read_section, write_section

pytestmark = pytest.mark.slow

OPENED = """
import json, sys
import numpy as np
from bioimageio.core import predict, test_model
from bioimageio.spec import load_description

package, image, found = sys.argv[1:]
model = load_description(package)
summary = test_model(model)
print(json.dumps({"status": summary.status, "license": str(model.license), "scale": model.inputs[0].axes[2].scale}))
sample = predict(model=model, inputs={"image": np.load(image)})
np.save(found, np.asarray(sample.members["probability"].data.data))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "bundle", "bioimageio", "--output", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*_bioimageio.zip"))


def test_the_package_holds_its_description_and_terms(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        names = set(archive.namelist())
        text = archive.read("README.md").decode()
    assert {"weights.ts", "image.npy", "probability.npy", "cover.png", "README.md"} < names
    assert "non-commercial" in text
    assert "10 nm a pixel" in text


def test_other_programs_get_the_masks_of_the_inference(package: Path, tmp_path: Path) -> None:
    from bundle.data.phantom import phantom

    phantom(output=str(tmp_path / "phantom"), seed=3, size=512, sections=(1, 1, 1))
    file = next((tmp_path / "phantom" / "images").glob("test*.png"))
    pixels = read_section(file).astype(np.float32).reshape(256, 2, 256, 2).mean(axis=(1, 3))  # 10 nm
    write_section(tmp_path / "section.tif", pixels)
    np.save(tmp_path / "section.npy", pixels.T[None, None])
    arguments = [str(package), str(tmp_path / "section.npy"), str(tmp_path / "found.npy")]
    done = subprocess.run(
        [sys.executable, "-c", OPENED, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.strip().splitlines()[-1])
    assert said == {"status": "passed", "license": "CC-BY-NC-SA-3.0", "scale": 10}
    settings = {"pixel_size": 10.0, "use_crf": False, "save_probability": True, "output_dir": str(tmp_path / "out")}
    run("inference", run_id="inference", dataset_dir=str(tmp_path / "section.tif"), **settings)
    expected = read_section(tmp_path / "out" / "section_probability.tif").T
    found = np.load(tmp_path / "found.npy")[0, 0]
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 0.01
    inside, wanted = found > 0.4, expected > 0.4
    # apart from tiles, and ranks in place of bins
    assert (inside & wanted).sum() / (inside | wanted).sum() > 0.85


def test_equalisation_is_by_rank_whatever_the_grey_levels_are() -> None:
    seen = []

    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return torch.cat([1 - x, x], dim=1)

    image = torch.randn(2, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    network = EqualizedNetwork(Network())
    first = network(image)
    second = network(image.exp() * 1000 - 5e4)
    torch.testing.assert_close(first, second)
    assert first.shape == image.shape
    assert seen[0].shape == (2, 1, 30, 20)  # the network's own order
    torch.testing.assert_close(seen[0].flatten(1).sort(dim=1)[0], ((torch.arange(600) + 0.5) / 600).expand(2, -1))
    assert (network(torch.full((1, 1, 8, 8), 7.0)) == 0.5).all()
