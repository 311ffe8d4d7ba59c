"""The bundle as a folder for the Hugging Face Hub."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from bundle.release.package import NAME, TORCHSCRIPT, check_weights, export, members
from bundle.runs import ROOT
from scripts.io import write_atomically, write_text

__all__ = ["huggingface"]

HEADER = """---
library_name: monai
pipeline_tag: image-segmentation
license: other
license_name: code-apache-2.0-weights-non-commercial-research
license_link: docs/data_license.txt
tags:
- monai
- medical
- biology
- electron-microscopy
- mitochondria
---

"""
"""What the Hub reads. The terms of the weights are those of the data, so that no licence of its list is theirs."""

USE = f"""
## How to get it

    import sys, monai.bundle
    monai.bundle.download(name="{NAME}", repo="OWNER/{NAME}", source="huggingface_hub", bundle_dir="bundles")
    sys.path.insert(0, "bundles/{NAME}")  # `scripts`, which the configs name
    network = monai.bundle.load(name="{NAME}", bundle_dir="bundles")

"""


def huggingface(output: str = "dist/huggingface") -> str:
    """Write the bundle, with its model card where the Hub wants it, into a folder that can be pushed as it is.

    Args:
        output: the folder, which is not there yet.

    Returns:
        What was written.

    Raises:
        FileExistsError: the folder is there.
        FileNotFoundError: the shipped weights are missing.
        ValueError: the shipped weights are not those of their record.
        OSError: a file cannot be written.
    """
    folder = Path(output).resolve()
    if folder.exists():
        raise FileExistsError(f"{folder}: is there already; remove it, or name another by --output")
    check_weights()
    for member in members():
        target = folder / member
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / member, target)
    write_atomically(folder / TORCHSCRIPT, export)
    card = (ROOT / "docs" / "README.md").read_text()
    write_text(folder / "README.md", HEADER + _from_root(card) + USE)
    # the Hub keeps large files apart, by this list
    write_text(folder / ".gitattributes", "".join(f"*.{s} filter=lfs diff=lfs merge=lfs -text\n" for s in ("pt", "ts")))
    return f"{folder}: {sum(1 for file in folder.rglob('*') if file.is_file())} files"


def _from_root(card: str) -> str:
    """Let the links of the model card, which lies in docs, lead to the same files from the folder above it."""

    def link(match: re.Match[str]) -> str:
        target = match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        return f"{match[1]}({target.removeprefix('../') if target.startswith('../') else f'docs/{target}'})"

    return re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", link, card)
