"""The commands ``python -m bundle data ...``: published sets of labelled sections and lists made of them."""

from __future__ import annotations

from .combine import combine
from .epfl import epfl
from .fetch import PublicSet, fetch
from .sbem import SBEM, sbem
from .small import SMALL, small
from .vnc import VNC, vnc

__all__ = ["SBEM", "SMALL", "VNC", "PublicSet", "combine", "epfl", "fetch", "sbem", "small", "vnc"]
