"""A program as classes of a small Python."""
