"""The commands that train and score, to compare one thing with another."""
