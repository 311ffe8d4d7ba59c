"""The command line around the bundle: ``python -m bundle <command>``."""
