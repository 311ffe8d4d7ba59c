"""The bundle in a MONAI Label server."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bundle.release.package import NAME
from bundle.runs import ROOT
from scripts.io import (
    WRITTEN,
    lock,
    parse_pixel_size,
    read_header,
    require_writable,
    split_suffix,
    write_json,
)
from scripts.weights import copy_weights, record_path, sha256_of

__all__ = ["keep_pixel_size", "prepare_app", "serve"]

APP = "monailabel"
"""Folder beside the sections for what belongs to them: the server's app, its weights, trainings and logs."""

NO_LABELS = "no section has a label yet: correct and submit one first"


def serve(
    studies: str,
    *bundles: str,
    pixel_size: float | Sequence[float] | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    epistemic_samples: int = 20,
) -> None:
    """Serve the sections of a folder for annotation: MONAI Label's `monaibundle` app with this bundle in it.

    What a person corrects goes to `STUDIES/labels`, and all else to `STUDIES/monailabel`: weights that are trained for
    these sections stay with them, and the shipped ones are only read. Nothing is fetched from the network.

    Args:
        studies: folder of sections, one in each file.
        *bundles: folders of other MONAI bundles to serve beside this one.
        pixel_size: of the sections, in nanometres, a number or [x, y]; kept with the folder for later starts. Where
            none was ever stated, sections are taken as they are.
        host: address to listen at; "0.0.0.0" lets other computers in.
        port: port to listen at.
        epistemic_samples: samples of the network's dropout for the scoring of sections.

    Raises:
        FileNotFoundError: there is no such folder, or it holds no sections.
        OSError: MONAI Label is not installed in this environment, a folder cannot be written, the port is in use, or
            another server serves the folder.
        ValueError: two bundles have the same name, the port is no whole number, or the pixel size is none or not
            that of an earlier start.
    """
    if importlib.util.find_spec("monailabel") is None:
        raise OSError("MONAI Label is not installed here; `make label` makes an environment for it")
    folder = Path(studies).resolve()
    _check_sections(folder)
    _check_port(host, port)
    _lock(folder / APP)
    known = keep_pixel_size(folder / APP, pixel_size)
    app, names = prepare_app(folder, *bundles)
    pixels = f"pixels of {_text(known)}" if known else "pixels of unknown size"
    print(f"Serving {folder} ({pixels}) at http://{host}:{port}; weights and logs in {app}", flush=True)
    options = {
        "app": app,
        "studies": folder,
        "host": host,
        "port": port,
        "uvicorn_app": "bundle.label.server:app",
    }
    # without the last two, the start fetches from the network
    conf = {
        "models": ",".join(names),
        "pixel_size": json.dumps(known),
        "epistemic_samples": epistemic_samples,
        "zoo_source": "ngc",
        "sam2": "false",
    }
    arguments = [f"--{key}={value}" for key, value in options.items()]
    for key, value in conf.items():
        arguments += ["--conf", key, str(value)]
    environment = _environment(app)
    if not bundles:
        # each request would import `scripts` anew four times, in case another bundle's was imported in between
        environment["MONAI_LABEL_RELOAD_APP_LIB"] = "false"
    os.execve(sys.executable, [sys.executable, "-m", "monailabel.main", "start_server", *arguments], environment)


def keep_pixel_size(app: Path, stated: float | Sequence[float] | None) -> list[float] | None:
    """Remember the pixel size of a folder of sections, and recall it.

    Another one than before is refused, and not taken over: weights that were trained on these sections have seen them
    at the first, and only the user can know which of the two was meant.

    Args:
        app: folder of what belongs to the sections.
        stated: by the user, in nanometres, a number or [x, y]; None recalls what was stated before.

    Returns:
        [x, y] in nanometres, or None where none was ever stated.

    Raises:
        ValueError: it is no pixel size, another one was stated before, or the record is damaged.
        OSError: the record cannot be read or written.
    """
    given = None if stated is None else parse_pixel_size(stated, "--pixel_size")
    record = app / "pixel_size.json"
    if record.exists():
        try:
            known = parse_pixel_size(json.loads(record.read_text())["pixel_size_nm"], str(record))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{record}: is damaged ({error}); remove it and state --pixel_size again") from None
        if given not in (None, known):
            raise ValueError(
                f"--pixel_size says {_text(given)}, but these sections were served as {_text(known)} before. If that "
                f"is right, leave --pixel_size out. If it was wrong, remove {record}; weights that were trained here "
                "since then have seen the sections at the wrong size, so train anew from shipped.pt"
            )
        return known
    if given is None:
        print(
            "warning: the pixel size of the sections is not known: they are taken as they are, as if it were that of "
            "the network. State it in nanometres by --pixel_size (make label: PIXEL_SIZE)",
            file=sys.stderr,
        )
        return None
    write_json(record, {"pixel_size_nm": given})
    if any(app.glob(f"model/{NAME}/trainings/*")):
        print(
            "warning: weights that were trained here before have seen the sections as they are, not at the pixel size "
            "of the network; train anew from shipped.pt",
            file=sys.stderr,
        )
    # uncertainties are measured again when the weights are younger: those measured at another pixel size are void
    for weights in app.glob(f"model/{NAME}/models/model.pt"):
        os.utime(weights)
    return given


def prepare_app(studies: Path, *bundles: str) -> tuple[Path, list[str]]:
    """Make MONAI Label's `monaibundle` app in the folder of the sections, or bring it up to date.

    The bundle in it has its configs and scripts from here, and weights of its own: `models/model.pt`, which a training
    improves, and `models/shipped.pt`.

    Args:
        studies: folder of sections.
        *bundles: folders of further bundles.

    Returns:
        The app, and the names of its bundles.

    Raises:
        FileNotFoundError: a bundle has no `configs`.
        OSError: a folder cannot be written, or MONAI Label cannot copy its app.
        ValueError: two bundles have the same name.
    """
    app = studies / APP
    require_writable(app)
    if not (app / "monaibundle.py").exists():
        command = [sys.executable, "-m", "monailabel.main", "apps", "--download", "--name", "monaibundle"]
        shutil.rmtree(app / "stock", ignore_errors=True)
        command += ["--output", str(app / "stock")]
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(app))
        if done.returncode:
            raise OSError(f"MONAI Label cannot copy its app to {app}: {done.stdout[-500:]}{done.stderr[-500:]}")
        # the app itself is `bundle.label.app`, which builds on this one
        os.replace(app / "stock" / "monaibundle" / "main.py", app / "monaibundle.py")
        shutil.rmtree(app / "stock")
    (app / "main.py").write_text("from bundle.label.app import SectionsApp\n\n__all__ = ['SectionsApp']\n")
    home = app / "model" / NAME
    for name in ("configs", "scripts"):
        _link(home / name, ROOT / name)
    _provide_weights(home / "models")
    names = [NAME]
    for bundle in bundles:
        source = Path(bundle).resolve()
        if not (source / "configs").is_dir():
            raise FileNotFoundError(f"{bundle}: is no MONAI bundle, it has no folder configs")
        if source.name in names:
            raise ValueError(f"{bundle}: there is another bundle named {source.name}")
        _link(app / "model" / source.name, source)
        names.append(source.name)
    return app, names


def _text(pixel_size: Sequence[float]) -> str:
    x, y = pixel_size
    return f"{x:g} nm" if x == y else f"{x:g} x {y:g} nm"


def _provide_weights(folder: Path) -> None:
    """Copy the shipped weights, and use them unless others were trained here."""
    shipped, copy, used = ROOT / "models" / "model.pt", folder / "shipped.pt", folder / "model.pt"
    for left in folder.glob(".writing-*"):  # by a training that was killed
        shutil.rmtree(left)
    untrained = not used.exists() or (copy.exists() and sha256_of(used) == sha256_of(copy))
    # in this order, a start that is killed half way can be repeated
    for target in ([used] if untrained else []) + [copy]:
        if not (record_path(target).exists() and target.exists() and sha256_of(target) == sha256_of(shipped)):
            copy_weights(shipped, target)


def _lock(app: Path) -> None:
    """Let no second server write the same weights; the lock is that of the process, and outlives `execve`."""
    require_writable(app)
    os.set_inheritable(lock(app / ".running", f"{app}: another server serves this folder"), True)


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()  # the bundle may have moved
    link.symlink_to(target, target_is_directory=True)


def _check_sections(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of sections")
    files = [f for f in sorted(folder.iterdir()) if f.name.lower().endswith(WRITTEN) and not f.name.startswith(".")]
    if not files:
        raise FileNotFoundError(f"{folder}: holds no sections; supported formats are {', '.join(WRITTEN)}")
    stems: dict[str, Path] = {}
    for file in files:
        stem = split_suffix(file)[0]
        if stem in stems:
            print(f"warning: {file}: has the name of {stems[stem].name}; only one of them is served", file=sys.stderr)
        stems[stem] = file
        try:
            header = read_header(file)
        except ValueError as error:
            print(f"warning: {error}", file=sys.stderr)
            continue
        if header.pages > 1:
            print(
                f"warning: {file}: is a stack of {header.pages} sections; MONAI Label needs a file for each",
                file=sys.stderr,
            )
        if header.channels > 1:
            print(
                f"warning: {file}: has {header.channels} channels; MONAI Label needs the one that shows the tissue in "
                "a file of its own",
                file=sys.stderr,
            )


def _check_port(host: str, port: int) -> None:
    if type(port) is not int:
        raise ValueError(f"--port must be a whole number, but got {port!r}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise OSError(f"{host}:{port}: the server cannot listen there: {error}") from None


def _environment(app: Path) -> dict[str, str]:
    """Give the environment of the server and of the processes that it starts."""
    paths = [str(Path(__file__).parent / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    for name in ("NO_PROXY", "no_proxy"):
        own[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1,localhost"]))
    defaults = {
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps([f"*{s}" for suffix in WRITTEN for s in (suffix, suffix.upper())]),
        "MONAI_LABEL_SESSION_PATH": str(app / "sessions"),
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        # proposals, scoring and training run side by side; threads that wait must not keep the others from working
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return {**defaults, **os.environ, **own}
