"""Rules for values, as expressions of a config."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["require", "require_at_least", "require_between", "require_one_of"]


def require(condition: bool, message: str) -> None:
    """Refuse a combination of settings; to be called as an expression of a config.

    Args:
        condition: what must hold.
        message: what is said if it does not.

    Raises:
        ValueError: it does not hold.
    """
    if not condition:
        raise ValueError(message)


def require_at_least(lowest: float, below: float = math.inf, **settings: float) -> None:
    """Refuse numbers that are too small; to be called as an expression of a config.

    Args:
        lowest: the smallest that is allowed.
        below: what all must be less than.
        **settings: the numbers by their names.

    Raises:
        ValueError: one is not in the range, or no number.
    """
    upper = "" if below == math.inf else f" and below {below}"
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value < below:
            raise ValueError(f"{name} must be a number of at least {lowest}{upper}, but got {value!r}")


def require_between(lowest: float, highest: float, **settings: float) -> None:
    """Refuse numbers out of their range; to be called as an expression of a config.

    Args:
        lowest: what all must be greater than.
        highest: what all must be less than.
        **settings: the numbers by their names.

    Raises:
        ValueError: one is not in the range, or no number.
    """
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest < value < highest:
            raise ValueError(f"{name} must be a number between {lowest} and {highest}, but got {value!r}")


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
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, but got {value!r}")
