"""Commands for volumes in OME-Zarr."""
