"""Volumes in OME-Zarr: segmentation in blocks, by several processes, resumable."""

from .segmentation import VolumeSegmentation

__all__ = ["VolumeSegmentation"]
