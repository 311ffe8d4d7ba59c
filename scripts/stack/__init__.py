"""Stacks of sections: files in, files out, over the algorithms of `scripts.registration`. Needs OpenCV."""

from .alignment import StackAlignment
from .names import section_names
from .warp_files import warp_files

__all__ = ["StackAlignment", "section_names", "warp_files"]
