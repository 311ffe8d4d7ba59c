"""The commands that bring weights and the bundle to its users."""
