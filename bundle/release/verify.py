"""What the model zoo asks of a bundle."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import monai.bundle
import numpy as np
import torch
from monai.bundle import ConfigWorkflow

from bundle.data.phantom import phantom
from bundle.release.package import LARGE, check_weights, export, large_files, members
from bundle.runs import ROOT, load_network
from scripts.config import first_cause

__all__ = ["broken_links", "verify"]

WEIGHTS = ROOT / "models" / "model.pt"
TOLERANCE = 1e-3
"""Most that the logits of an exported network may differ from those of the eager one."""
TIMEOUT_S = 20


def verify(schema: str | None = None, online: bool = False) -> str:
    """Check the bundle as the model zoo does, with MONAI's own commands where it has them.

    Args:
        schema: local copy of the metadata's schema; fetched from its address if None.
        online: whether to ask for the external links of the model card too.

    Returns:
        One line per check.

    Raises:
        ValueError: a check failed; the message names it.
    """
    logging.disable(logging.INFO)  # MONAI logs its arguments at length
    lines, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        for title, check in _checks(Path(folder), schema, online):
            try:
                said = check()
                lines.append(f"ok      {title}" + (f": {said}" if said else ""))
            except Exception as error:  # whatever it is, the other checks are still wanted
                cause = first_cause(error)
                lines.append(f"FAILED  {title}: {type(cause).__name__}: {cause}")
                failed.append(title)
            print(lines[-1], flush=True)
    logging.disable(logging.NOTSET)
    if failed:
        raise ValueError(f"{len(failed)} of {len(lines)} checks failed: {'; '.join(failed)}")
    return f"all {len(lines)} checks passed"


def _checks(folder: Path, schema: str | None, online: bool) -> Iterator[tuple[str, Callable[[], str | None]]]:
    meta, config = str(ROOT / "configs" / "metadata.json"), str(ROOT / "configs" / "inference.json")
    override = {"bundle_root": str(ROOT)}
    yield "metadata against the schema", lambda: _verify_metadata(meta, schema, folder)
    yield "version in the changelog", _check_version
    yield (
        "network input and output",
        lambda: monai.bundle.verify_net_in_out(
            "network_def", meta_file=meta, config_file=config, device="cpu", **override
        ),
    )
    for names, kind in ((("train",), "train"), (("inference", "evaluate"), "infer"), (("inference",), "infer")):
        yield f"properties of {names[-1]}", lambda names=names, kind=kind: _check_properties(names, kind, folder)
    yield "weights and their records", lambda: ", ".join(check_weights())
    yield "TorchScript", lambda: _check_torchscript(folder / "model.ts")
    yield "ONNX", lambda: _check_onnx(meta, config, folder / "model.onnx", override)
    yield "large files and hashes", lambda: _check_large_files()
    yield "links of the model card", lambda: _check_links(online)


def _verify_metadata(meta: str, schema: str | None, folder: Path) -> None:
    path = folder / "schema.json"
    if schema is not None:
        path.write_bytes(Path(schema).read_bytes())
    monai.bundle.verify_metadata(meta_file=meta, filepath=str(path))


def _check_version() -> str:
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text())
    if metadata["version"] not in metadata["changelog"]:
        raise ValueError(f"version {metadata['version']} is not in the changelog: {list(metadata['changelog'])}")
    return metadata["version"]


def _check_properties(names: tuple[str, ...], kind: str, folder: Path) -> None:
    data = folder / "phantom"
    if not data.exists():
        phantom(output=str(data), size=128, sections=(1, 1, 1))
    files = [str(ROOT / "configs" / f"{name}.json") for name in names]
    settings = {"bundle_root": str(ROOT), "device": "$torch.device('cpu')", "output_dir": str(folder / names[-1])}
    settings["dataset_dir"] = str(data / "images" if names == ("inference",) else data)
    if names == ("train",):
        settings["ckpt_dir"] = str(folder / "run")
    workflow = ConfigWorkflow(files, workflow_type=kind, logging_file=False, **settings)
    workflow.initialize()
    missing = workflow.check_properties()
    if missing:
        raise ValueError(f"missing: {missing}")


def _check_torchscript(path: Path) -> str:
    export(path)
    exported = torch.jit.load(str(path))
    eager, differences = load_network(WEIGHTS), []
    with torch.no_grad():
        # not only the patch that inference uses: any size is allowed
        for shape in ((512, 512), (261, 643)):
            image = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))
            differences.append(float((exported(image) - eager(image)).abs().max()))
    return _judged(max(differences), "logits of 512x512 and 261x643 pixels")


def _check_onnx(meta: str, config: str, path: Path, override: dict) -> str:
    import onnxruntime  # a development dependency

    monai.bundle.onnx_export(
        "network_def",
        filepath=str(path),
        ckpt_file=str(WEIGHTS),
        meta_file=meta,
        config_file=config,
        input_shape=[1, 1, 512, 512],
        **override,
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = torch.rand(1, 1, 512, 512, generator=torch.Generator().manual_seed(0))
    (exported,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        eager = load_network(WEIGHTS)(image).numpy()
    return _judged(float(np.abs(exported - eager).max()), "logits of 512x512 pixels")


def _judged(difference: float, what: str) -> str:
    if not difference <= TOLERANCE:
        raise ValueError(f"{what} differ by up to {difference:.2g} from eager ones, more than {TOLERANCE}")
    return f"{what} differ by at most {difference:.2g} from eager ones"


def _check_large_files() -> str:
    entries = large_files()
    known = {entry["path"] for entry in entries}
    unknown = [str(path) for path in members() if (ROOT / path).stat().st_size > LARGE and str(path) not in known]
    if unknown:
        raise ValueError(f"larger than {LARGE / 1e6:.0f} MB and not in large_files.yml: {unknown}")
    return f"{len(entries)} listed"


def _check_links(online: bool) -> str:
    broken = broken_links(ROOT / "docs" / "README.md", online, {ROOT / member for member in members()})
    if broken:
        raise ValueError(f"dead links: {', '.join(broken)}")
    return "local and external" if online else "local"


def broken_links(page: Path, online: bool, files: set[Path] | None = None) -> list[str]:
    """List the links of a Markdown page that lead nowhere.

    Args:
        page: the page.
        online: whether external links are asked for too.
        files: those that links may lead to; any that exists if None.

    Returns:
        The links.
    """
    text = page.read_text()
    links = dict.fromkeys(re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"https?://[^\s)>\]`]+[^\s)>\]`.,;]", text))
    broken = []
    for link in links:
        if link.startswith("http"):
            if online and not _answers(link):
                broken.append(link)
        elif not link.startswith("#"):
            target = (page.parent / link.split("#")[0]).resolve()
            if not target.exists() or (files is not None and target not in files):
                broken.append(link)
    return broken


def _answers(link: str) -> bool:
    try:
        with urlopen(Request(link, headers={"User-Agent": "Mozilla/5.0"}), timeout=TIMEOUT_S):
            return True
    except OSError:
        return False
