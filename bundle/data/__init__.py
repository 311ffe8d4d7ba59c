"""The commands that make data sets, and lists of them."""
