"""Functions compiled by Numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compiled"]


def compiled(signature: str, **options: Any) -> Callable[[Callable], Callable]:
    """Compile at once, without Python's lock, and keep the result for the next process where there is a place for it.

    Args:
        signature: types of the arguments and the result, as Numba writes them.
        **options: of ``numba.njit``.

    Returns:
        A decorator.
    """
    options = {"nogil": True, "error_model": "numpy", "boundscheck": False, **options}

    def decorate(function: Callable) -> Callable:
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except (RuntimeError, OSError):  # no folder can be written, or not as much as this
            return numba.njit(signature, **options)(function)

    return decorate
