"""A small Python: what emitted modules are made of, and how it is laid out."""
