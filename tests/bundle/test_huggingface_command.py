"""The folder for the Hugging Face Hub."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bundle.release.huggingface import huggingface
from bundle.release.package import NAME
from bundle.release.verify import broken_links

pytestmark = pytest.mark.slow

LOADED = """
import sys, torch, monai.bundle
name = sys.argv[1]
sys.path.insert(0, f"bundles/{name}")
network = monai.bundle.load(name=name, bundle_dir="bundles").eval()
script, *_ = monai.bundle.load(name=name, bundle_dir="bundles", load_ts_module=True)
x = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
torch.testing.assert_close(network(x), script(x), atol=1e-3, rtol=1e-3)
"""


# TorchScript is what the zoo wants still
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_folder_is_a_bundle_with_a_card(tmp_path: Path) -> None:
    folder = tmp_path / "bundles" / NAME
    huggingface(output=str(folder))
    _, header, card = (folder / "README.md").read_text().split("---\n", 2)
    fields = yaml.safe_load(header)
    assert fields["library_name"] == "monai"
    assert (folder / fields["license_link"]).is_file()
    assert card.lstrip().startswith("# Mitochondria segmentation")
    files = {str(file.relative_to(folder)) for file in folder.rglob("*")}
    assert broken_links(folder / "README.md", online=False, files=None) == []
    assert {"configs/inference.json", "models/model.pt", "models/model.ts", "LICENSE", ".gitattributes"} < files
    environment = {**os.environ, "PYTHONPATH": ""}
    subprocess.run([sys.executable, "-c", LOADED, NAME], cwd=tmp_path, check=True, env=environment)
    with pytest.raises(FileExistsError, match="is there already"):
        huggingface(output=str(folder))
