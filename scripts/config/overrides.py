"""Settings that nobody knows or uses, and settings that override what weights were made with."""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .running import running_parser

__all__ = ["check_settings", "compare_settings", "known_settings", "overridden", "unused_settings"]

logger = logging.getLogger(__name__)

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

# what MONAI's `--tracking` adds to a config
TRACKING = ("experiment_name", "is_not_rank0", "run_name", "save_execute_config", "tracking_uri")


def check_settings(record: Mapping[str, Any] | None = None) -> None:
    """Refuse settings that no config of the bundle knows, that nothing uses, or whose type differs from the configs'.

    MONAI takes any override: ``--lerning_rate 0.1`` adds a key that nothing reads, and the training runs for hours
    with the default. To be called as an expression of a config. Settings that differ from what the weights were made
    with are allowed, and logged.

    Args:
        record: what the weights say of themselves, see `scripts.weights.settings_of`.

    Raises:
        ValueError: a key is not known, or nothing in the running config uses it; the message names the closest one.
        TypeError: a value has another type than the configs give it.
    """
    config, defaults = running_parser().get(), known_settings(CONFIGS)
    compare_settings(config, defaults)
    for key in unused_settings(config, defaults):
        raise ValueError(f"setting '{key}' = {config[key]!r} is not used by this workflow")
    for key, value, known in overridden(config, record or {}):
        logger.info("%s %s of the settings overrides %s of %s", key, value, known, record["file"])


def known_settings(folder: Path) -> dict[str, list]:
    """Read the settings that the configs of a bundle know.

    Args:
        folder: of the configs.

    Returns:
        For each key the values that the configs give it. Where a config reads a value from the record of weights, it
        is the value for weights without one.
    """
    known: dict[str, list] = {}

    def add(content: Mapping[str, Any]) -> None:
        for key, value in content.items():
            if not _from_record(value):
                known.setdefault(key, []).append(value)

    for file in sorted(folder.glob("*.json")):
        if file.name != "metadata.json":
            content = json.loads(file.read_text())
            add(content)
            add(content.get("defaults", {}))
    return known


def compare_settings(config: Mapping[str, Any], defaults: Mapping[str, list], group: str = "") -> None:
    """Compare the entries of a config, and of groups in it, with those that are known.

    Entries that begin with an underscore are headings or the user's own and not compared. What stands inside a
    component (an entry with a ``_target_``) is left to the component, which refuses arguments that it does not know,
    and what stands in a group that is empty by default to whoever reads it.

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
                f"setting '{group}{key}' must be of type {expected}, such as {defaults[key][0]!r}, but got {value!r} "
                f"of type {type(value).__name__}"
            )
        known = [default for default in defaults[key] if isinstance(default, dict)]
        if isinstance(value, dict) and known and not any("_target_" in entry for entry in (value, *known)):
            merged: dict[str, list] = {}
            for entry in known:
                for name, default in entry.items():
                    merged.setdefault(name, []).append(default)
            if merged:
                compare_settings(value, merged, f"{group}{key}#")


def unused_settings(config: Mapping[str, Any], defaults: Mapping[str, list]) -> list[str]:
    """List the settings that nothing in a config refers to, and that differ from what the configs give them.

    Args:
        config: raw config, expressions not evaluated.
        defaults: known keys and the values that the configs of the bundle give them.

    Returns:
        Their keys.
    """
    used = set(_references(config))
    return [
        key
        for key, value in config.items()
        if key in defaults
        and key not in used
        and key != "bundle_root"  # MONAI's own, which every bundle has
        and isinstance(value, str | int | float)
        and not _is_expression(value)
        and value not in defaults[key]
    ]


def overridden(config: Mapping[str, Any], record: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """List the settings that differ from those that weights were made with.

    Args:
        config: raw config, expressions not evaluated.
        record: settings of the weights, those in groups too. Without its ``file`` nothing is known of the weights.

    Returns:
        For each its key, its value and that of the record.
    """
    found = []
    for key, known in (record if record.get("file") else {}).items():
        if isinstance(known, dict):
            group = config.get(key, {})
            pairs = [(f"{key}#{name}", group.get(name, value), value) for name, value in known.items()]
        else:
            pairs = [(key, config.get(key, known), known)]
        found += [(name, value, known) for name, value, known in pairs if not _is_expression(value) and value != known]
    return found


def _references(content: Any) -> Iterator[str]:
    """Give the first part of each id that the expressions of a config refer to."""
    if isinstance(content, Mapping):
        content = list(content.values())
    if isinstance(content, list):
        for entry in content:
            yield from _references(entry)
    elif _is_expression(content):
        yield from re.findall(r"[@%](\w+)", content)


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


def _from_record(value: Any) -> bool:
    """Tell a setting, or a group of them, that is read from the record of the weights."""
    if isinstance(value, dict):
        return bool(value) and all(map(_from_record, value.values()))
    return isinstance(value, str) and value.startswith("$@record[")
