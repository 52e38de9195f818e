"""The laws of a program: its graph, rounds of training, bounds and the verdict."""
