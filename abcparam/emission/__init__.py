"""The PyTorch module of a program."""
