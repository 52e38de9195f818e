"""The coordinate check: measured slopes beside derived exponents.

The emitted model is trained at several widths for them.
"""
