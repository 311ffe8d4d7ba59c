"""What the model zoo asks: verify and pack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from bundle.release import package as module
from bundle.release.package import NAME, check_weights, large_files, package
from bundle.release.verify import broken_links, verify
from bundle.runs import ROOT
from scripts.weights import sha256_of

SCHEMA = ROOT.parent / "shared" / "zoo" / "meta_schema_20240725.json"


# those of the ONNX exporter
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_bundle_is_what_the_zoo_asks_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All checks pass; the metadata's only where the schema is at hand, since the network is not asked here."""
    if SCHEMA.is_file():
        assert verify(schema=str(SCHEMA)) == "all 11 checks passed"
        return
    with pytest.raises(ValueError, match=r"^1 of 11 checks failed: metadata against the schema$"):
        verify(schema=str(tmp_path / "absent.json"))


def test_weights_that_are_not_those_of_their_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(FileNotFoundError, match="there are no weights to pack"):
        check_weights()
    (tmp_path / "models" / "model.pt").write_bytes(b"weights")
    with pytest.raises(FileNotFoundError, match=r"model\.json"):
        check_weights()
    (tmp_path / "models" / "model.json").write_text('{"sha256": "0", "settings": {}}')
    with pytest.raises(ValueError, match=r"model\.json: .*model\.pt"):
        check_weights()


def test_broken_links(tmp_path: Path) -> None:
    (tmp_path / "there.png").touch()
    page = tmp_path / "page.md"
    page.write_text("[a](there.png) [b](there.png#part) [c](#part) [d](gone.md) https://127.0.0.1:1/nobody.")
    assert broken_links(page, online=False) == ["gone.md"]
    assert broken_links(page, online=False, files=set()) == ["there.png", "there.png#part", "gone.md"]
    assert broken_links(page, online=True) == ["gone.md", "https://127.0.0.1:1/nobody"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    package(output=str(folder))
    return folder


@pytest.mark.slow
def test_the_zip_holds_what_belongs_into_a_bundle(packed: Path) -> None:
    version = json.loads((ROOT / "configs" / "metadata.json").read_text())["version"]
    with zipfile.ZipFile(packed / f"{NAME}_v{version}.zip") as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.namelist()}
        assert archive.testzip() is None
    needed = {"LICENSE", "configs/metadata.json", "configs/inference.json", "configs/train.json", "models/model.pt"}
    assert names >= needed | {"models/model.ts", "docs/README.md", "docs/data_license.txt", "scripts/__init__.py"}
    folders = {name.split("/")[0] for name in names}
    assert folders == {"LICENSE", "requirements.txt", "configs", "docs", "models", "scripts"}
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.slow
def test_large_files_have_their_hashes(packed: Path) -> None:
    entries = yaml.safe_load((packed / "large_files.yml").read_text())["large_files"]
    assert [entry["path"] for entry in entries] == ["models/model.ts"]
    assert entries[0]["hash_val"] == sha256_of(packed / "model.ts")
    assert entries[0]["url"] == (packed / "model.ts").as_uri()


def test_a_listed_file_that_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    assert large_files() == []
    (tmp_path / "model.pt").write_bytes(b"weights")
    entry = {"path": "model.pt", "url": "https://example.org/model.pt", "hash_val": "0" * 64, "hash_type": "sha256"}
    (tmp_path / "large_files.yml").write_text(yaml.safe_dump({"large_files": [entry]}))
    with pytest.raises(ValueError, match=r"model\.pt is not the file listed in large_files\.yml"):
        large_files()


LOAD = """
import json, sys
import numpy, torch, monai.bundle
name, url, script = "{name}", "{url}", {script}
monai.bundle.download(name=name, url=url, bundle_dir="bundles")
sys.path[:0] = [] if script else ["bundles/" + name]
loaded = monai.bundle.load(name=name, bundle_dir="bundles", load_ts_module=script)
network = loaded[0] if script else loaded
assert ("scripts" in sys.modules) != script
image = torch.from_numpy(numpy.random.default_rng(0).random((1, 1, 256, 256), dtype=numpy.float32))
with torch.no_grad():
    print("mean", float(network.eval()(image)[:, 1].mean()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", [False, True])
def test_download_and_load_elsewhere_give_the_stored_result(packed: Path, tmp_path: Path, script: bool) -> None:
    """TorchScript is loaded without the sources of the bundle."""
    (archive,) = packed.glob("*.zip")
    code = LOAD.format(name=NAME, url=archive.as_uri(), script=script)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    stored = json.loads((ROOT / "models" / "model.json").read_text())["check"]["mean_logit"]
    np.testing.assert_allclose(float(done.stdout.split("mean")[-1]), stored, atol=1e-4)
