"""Python of the user's own: found by its name, run, and told of at its lines."""
