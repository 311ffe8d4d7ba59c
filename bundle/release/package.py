"""The bundle as one file for the model zoo."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import monai.bundle

from bundle.runs import ROOT
from scripts.io import write_atomically, write_text
from scripts.weights import read_record, record_path, sha256_of

__all__ = ["LARGE", "NAME", "check_weights", "export", "large_files", "members", "package"]

NAME = "em_mitochondria_segmentation"

LARGE = 25_000_000
"""Bytes above which the zoo wants a file listed instead of committed."""

PATTERNS = (
    "LICENSE",
    "requirements.txt",
    "configs/*.json",
    "configs/logging.conf",
    "docs/README.md",
    "docs/data_license.txt",
    "docs/formats.md",
    "docs/objects.md",
    "docs/registration.md",
    "docs/synthetic.jpg",
    "docs/unseen_tissue.md",
    "docs/results/**/*",
    "docs/table1/*",
    "models/model.pt",
    "models/model.json",
    "models/unet/model.pt",
    "models/unet/model.json",
    "models/ensemble/model.pt",
    "models/ensemble/model.json",
    "models/synthetic/model.pt",
    "models/synthetic/model.json",
    "models/synthetic/unet/model.pt",
    "models/synthetic/unet/model.json",
    "scripts/**/*.py",
)
WEIGHTS = (
    "models/model.pt",
    "models/unet/model.pt",
    "models/ensemble/model.pt",
    "models/synthetic/model.pt",
    "models/synthetic/unet/model.pt",
)
"""Of these, the first is required."""

TORCHSCRIPT = "models/model.ts"


def package(output: str = "dist", url: str | None = None) -> str:
    """Write the bundle as a zip that ``monai.bundle.download`` and ``load`` take, with TorchScript beside the weights.

    Args:
        output: folder for `em_mitochondria_segmentation_v<version>.zip`, `model.ts` and `large_files.yml`, the zoo's
            list of the files over 25 MB with their hashes.
        url: address of the folder that `model.ts` will be uploaded to; `output` itself if None.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: the shipped weights are missing.
        ValueError: the shipped weights are not those of their record.
        OSError: a file cannot be written.
    """
    import yaml  # a development dependency

    version = json.loads((ROOT / "configs" / "metadata.json").read_text())["version"]
    folder = Path(output).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    check_weights()
    script = folder / Path(TORCHSCRIPT).name
    write_atomically(script, export)
    archive = folder / f"{NAME}_v{version}.zip"
    write_atomically(archive, lambda path: _zip(path, script))
    entries = [*large_files(), *_listed(TORCHSCRIPT, script, url or folder.as_uri())]
    content = yaml.safe_dump({"large_files": entries}, sort_keys=False)
    write_text(folder / "large_files.yml", content)
    size = f"{archive.stat().st_size / 1e6:.1f} MB, {len(members()) + 1} files"
    return f"{archive}: {size}\n{script}\n{folder / 'large_files.yml'}"


def check_weights() -> list[str]:
    """Compare the shipped weights with their records.

    Returns:
        Paths of the weights.

    Raises:
        FileNotFoundError: the first weights or a record are missing.
        ValueError: weights are not those of their record.
    """
    found = [name for name in WEIGHTS if (ROOT / name).is_file()]
    if WEIGHTS[0] not in found:
        raise FileNotFoundError(f"{ROOT / WEIGHTS[0]}: there are no weights to pack")
    for name in found:
        if not read_record(ROOT / name):
            raise FileNotFoundError(f"{record_path(ROOT / name)}: there is no record of the weights beside it")
    return found


def members() -> list[Path]:
    """List what belongs into the zip, besides the TorchScript.

    Returns:
        Paths relative to the bundle, sorted.
    """
    return sorted({path.relative_to(ROOT) for pattern in PATTERNS for path in ROOT.glob(pattern) if path.is_file()})


def large_files() -> list[dict[str, str]]:
    """Read the list of files that are not in the repository, each checked against its hash if it is there.

    Returns:
        The entries of `large_files.yml`; none if there is no such file.

    Raises:
        ValueError: a file is not the listed one.
    """
    path = ROOT / "large_files.yml"
    if not path.is_file():
        return []
    import yaml  # a development dependency

    entries = yaml.safe_load(path.read_text())["large_files"]
    for entry in entries:
        file = ROOT / entry["path"]
        if file.is_file() and sha256_of(file) != entry["hash_val"]:
            raise ValueError(f"{file} is not the file listed in {path.name}: its SHA-256 differs")
    return entries


def _listed(name: str, file: Path, url: str) -> list[dict[str, str]]:
    if file.stat().st_size <= LARGE:
        return []
    return [{"path": name, "url": f"{url}/{file.name}", "hash_val": sha256_of(file), "hash_type": "sha256"}]


def export(path: Path) -> None:
    """Export the shipped network as TorchScript.

    Args:
        path: file to write.

    Raises:
        OSError: it cannot be written.
    """
    monai.bundle.ckpt_export(
        "network_def",
        filepath=str(path),
        ckpt_file=str(ROOT / "models" / "model.pt"),
        meta_file=str(ROOT / "configs" / "metadata.json"),
        config_file=str(ROOT / "configs" / "inference.json"),
        bundle_root=str(ROOT),
    )


def _zip(path: Path, script: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members():
            archive.write(ROOT / member, f"{NAME}/{member}")
        archive.write(script, f"{NAME}/{TORCHSCRIPT}")
