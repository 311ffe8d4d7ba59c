"""Fully connected conditional random field: energy and inference."""

from __future__ import annotations

from .dense_crf import METHODS, check_parameters, dense_crf
from .grid import crf_window

__all__ = ["METHODS", "check_parameters", "crf_window", "dense_crf"]
