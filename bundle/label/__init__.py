"""The bundle in a MONAI Label server."""
