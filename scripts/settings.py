"""What a user sets in a config, and what the user is told."""

from __future__ import annotations

import builtins
import contextlib
import difflib
import inspect
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from monai.bundle import ConfigParser

__all__ = [
    "check_settings",
    "compare_settings",
    "explain_errors",
    "first_cause",
    "require",
    "require_between",
    "require_one_of",
]

# what MONAI's `--tracking` adds to a config
TRACKING = ("experiment_name", "is_not_rank0", "run_name", "save_execute_config", "tracking_uri")


def first_cause(error: BaseException) -> BaseException:
    """Follow an error to the one that it was raised from, and so on to the first.

    An error of a process that loads data comes as the text of its traceback: it is followed into that text.

    Args:
        error: any error.

    Returns:
        The first cause, `error` itself if it has none.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return _cause_in_worker(str(error)) or error


def _cause_in_worker(text: str) -> BaseException | None:
    """Read the first cause from what torch's DataLoader says of an error in one of its processes."""
    report = re.match(r"Caught \S+ in DataLoader worker process \d+\.\nOriginal ([\s\S]*)", text)
    if report is None:
        return None
    first = report[1].split("\nThe above exception was the direct cause of the following exception:\n")[0]
    last = first.split("\nDuring handling of the above exception, another exception occurred:\n")[-1]
    # frames are indented; what follows them is the error, whose message may have several lines
    found = re.search(r"(?:^  .*\n|\A)([\w.]+)(?:: ([\s\S]*))?\Z", last.rstrip(), re.MULTILINE)
    if found is None:
        return None
    kind, message = found[1], found[2] or ""
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, Exception):
        with contextlib.suppress(TypeError):  # one that is not made of a message
            return known(message)
    return RuntimeError(f"{kind}: {message}")


def explain_errors() -> None:
    """Let the traceback of an uncaught error end with its first cause.

    MONAI wraps an error in one or more of its own, so that the last line says which entry of a config failed, not why.
    To be called as an expression in ``initialize``.
    """
    previous = sys.excepthook
    if getattr(previous, "explains", False):
        return  # several workflows in one process

    def explain(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        previous(kind, error, traceback)
        cause = first_cause(error)
        if cause is not error:
            print(f"\nCause: {type(cause).__name__}: {cause}", file=sys.stderr)

    explain.explains = True
    sys.excepthook = explain


def require(condition: bool, message: str) -> None:
    """Refuse a combination of settings; to be called as an expression of a config.

    Args:
        condition: what has to hold.
        message: what is said if it does not.

    Raises:
        ValueError: it does not hold.
    """
    if not condition:
        raise ValueError(message)


def require_between(lowest: float, highest: float, **settings: float) -> None:
    """Refuse numbers out of their range; to be called as an expression of a config.

    Args:
        lowest: what all have to be greater than.
        highest: what all have to be less than.
        **settings: the numbers by their names.

    Raises:
        ValueError: one is not in the range, or no number.
    """
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest < value < highest:
            raise ValueError(f"{name} has to be a number between {lowest} and {highest}, got {value!r}")


def require_one_of(choices: Sequence[Any], **settings: Any) -> None:
    """Refuse values that are none of the choices; to be called as an expression of a config.

    Args:
        choices: what is allowed.
        **settings: the values by their names.

    Raises:
        ValueError: one is none of them.
    """
    for name, value in settings.items():
        if value not in choices:
            raise ValueError(f"{name} has to be one of {', '.join(map(str, choices))}, got {value!r}")


def check_settings(bundle_root: str | Path) -> None:
    """Refuse settings that no config of the bundle knows, or whose type differs from theirs.

    MONAI takes any override: ``--lerning_rate 0.1`` adds a key that nothing reads, and the training runs for hours
    with the default. To be called as an expression in ``initialize``.

    Args:
        bundle_root: folder that holds ``configs``.

    Raises:
        ValueError: a key is not known, or nothing in the running config uses it; the message names the closest one.
        TypeError: a value has another type than the configs give it.
    """
    defaults: dict[str, list] = {}
    for file in sorted((Path(bundle_root) / "configs").glob("*.json")):
        if file.name != "metadata.json":
            for key, value in json.loads(file.read_text()).items():
                defaults.setdefault(key, []).append(value)
    config = _running_config()
    compare_settings(config, defaults)
    used = json.dumps(config)
    for key, value in config.items():
        plain = isinstance(value, str | int | float) and not _is_expression(value)
        if plain and key in defaults and value not in defaults[key] and not re.search(rf"@{key}\b", used):
            raise ValueError(f"setting '{key}' = {value!r} is not used by this workflow")


def compare_settings(config: dict[str, Any], defaults: dict[str, list], group: str = "") -> None:
    """Compare the entries of a config, and of groups in it, with those that are known.

    Entries that begin with an underscore are the user's own and not compared. What stands inside a component (an entry
    with a ``_target_``) is left to the component, which refuses arguments that it does not know.

    Args:
        config: raw config, expressions not evaluated.
        defaults: known keys and the values that the configs of the bundle give them.
        group: what precedes the keys in messages, such as ``"crf#"``.

    Raises:
        ValueError: a key is not known; the message names the closest one.
        TypeError: a value has another type than all of its defaults. An integer is a floating-point number too; an
            expression or a reference can be anything, and so can what is null by default.
    """
    for key, value in config.items():
        if key.startswith("_") or (not group and key in TRACKING):
            continue
        if key not in defaults:
            close = difflib.get_close_matches(key, defaults, n=1)
            hint = f"; did you mean '{group}{close[0]}'?" if close else ""
            raise ValueError(f"unknown setting '{group}{key}' = {value!r}{hint}")
        if not any(_compatible(value, default) for default in defaults[key]):
            expected = " or ".join(sorted({type(default).__name__ for default in defaults[key]}))
            raise TypeError(
                f"setting '{group}{key}' = {value!r} is of type {type(value).__name__}, expected {expected}, "
                f"such as {defaults[key][0]!r}"
            )
        known = [default for default in defaults[key] if isinstance(default, dict)]
        if isinstance(value, dict) and known and not any("_target_" in entry for entry in (value, *known)):
            merged: dict[str, list] = {}
            for entry in known:
                for name, default in entry.items():
                    merged.setdefault(name, []).append(default)
            compare_settings(value, merged, f"{group}{key}#")


def _compatible(value: Any, default: Any) -> bool:
    if default is None or _is_expression(value) or _is_expression(default):
        return True
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return True
    if isinstance(default, list) and isinstance(value, list) and default and not isinstance(default[0], dict):
        return all(any(_compatible(v, d) for d in default) for v in value)
    return type(value) is type(default)


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def _running_config() -> dict[str, Any]:
    """Find the config from inside one of its expressions.

    MONAI gives an expression no access to the config as a whole; the parser that evaluates it is on the call stack.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), ConfigParser):
            return frame.f_locals["self"].get()
        frame = frame.f_back
    raise RuntimeError("check_settings is to be called as an expression of a MONAI config")
