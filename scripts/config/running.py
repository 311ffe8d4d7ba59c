"""The config that is being run, and what the command line said of it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from monai.bundle import ConfigParser

__all__ = ["as_typed", "keep_text", "running_parser"]

PATHS = ("checkpoint", "datalist", "init_checkpoint", "encoder_weights", "name", "version")
"""Settings that are text, such as names of files or folders, besides those whose names end like the following."""
PATH_ENDINGS = ("_dir", "_root")


def running_parser() -> ConfigParser:
    """Find the parser of the config from inside one of the config's expressions.

    MONAI gives an expression no access to the config as a whole; the parser that evaluates it is on the call stack.

    Returns:
        The parser.

    Raises:
        RuntimeError: the call does not come from an expression.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), ConfigParser):
            return frame.f_locals["self"]
        frame = frame.f_back
    raise RuntimeError("must be called by an expression of a MONAI config")


def keep_text() -> None:
    """Let the command line's names of files and folders, and versions, be read as they were typed.

    Fire reads each value of a command line as Python where it can: a folder ``20240115``, ``2024_01_15`` or ``1e3``
    becomes a number, and what follows a ``#`` is lost as a comment, so that ``raw#2`` would silently name the folder
    ``raw``. MONAI in turn takes any ``#`` for that of an id, and makes ``raw::2`` of it. To be called as the first
    expression of ``initialize``, before anything is read from the settings.
    """
    parser = running_parser()
    config, resolver = parser.get(), parser.ref_resolver
    for key, text in as_typed(config, sys.argv[1:]).items():
        config[key] = text
        resolver.items[key].update_config(text)  # the config has been parsed, but this is not resolved yet
    for key, value in config.items():
        texts = value if isinstance(value, list) else [value]
        if all(isinstance(text, str) and text[:1] not in "$@%" for text in texts) and any("#" in t for t in texts):
            resolver.resolved_content[key] = value


def as_typed(config: dict[str, Any], arguments: Sequence[str]) -> dict[str, str]:
    """Find the settings whose text Fire has changed.

    Args:
        config: the config with its overrides, expressions not evaluated.
        arguments: of the command line, such as ``["--dataset_dir", "raw#2"]``.

    Returns:
        What was typed, by setting, where the config has something else: a number, a truth value or a tuple in place of
        a name of a file or folder, or any text that has lost what followed a ``#``.
    """
    typed = {}
    for position, argument in enumerate(arguments):
        if not argument.startswith("-"):
            continue
        name, sign, text = argument.lstrip("-").partition("=")
        name = name.replace("-", "_")  # Fire takes `-dataset_dir` and `--dataset-dir` too
        if not sign:
            text = arguments[position + 1] if position + 1 < len(arguments) else ""
        value = config.get(name)
        is_path = name in PATHS or name.endswith(PATH_ENDINGS)
        # "None" is how a setting is switched off, and a list of files in brackets is one
        is_list = text[:1] in "[(" and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        became_else = is_path and not (value is None or isinstance(value, str) or is_list)
        lost_rest = isinstance(value, str) and value != text and text.split("#")[0].rstrip() == value
        if became_else or lost_rest:
            typed[name] = text
    return typed
