"""The rules behind every diagnostic, one module per phase.

A rule's docstring is what `abcparam explain` prints.
"""
