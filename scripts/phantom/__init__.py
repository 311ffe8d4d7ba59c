"""Phantom tissue: synthetic serial sections of nervous tissue with known mitochondria, and known deformations."""

from .deformation import Deformation
from .imaging import acquire
from .tissue import PhantomTissue

__all__ = ["Deformation", "PhantomTissue", "acquire"]
