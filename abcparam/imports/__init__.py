"""A model that exists in PyTorch, read: its sizes, how it starts, how it is trained."""
