"""The resolved program: every name bound, every shape known, every exponent in its place."""
