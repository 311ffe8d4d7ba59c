"""Synthetic tissue with variety: single sections of many kinds of tissue, drawn for training. Needs OpenCV."""

from .section import synthetic_section
from .styles import KINDS

__all__ = ["KINDS", "synthetic_section"]
