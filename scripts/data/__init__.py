"""The phantom tissue."""
