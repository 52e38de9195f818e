"""From a syntax tree to a program."""
