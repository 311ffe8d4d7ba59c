"""The bundle in napari."""
