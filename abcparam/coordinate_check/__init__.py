"""The coordinate check: the emitted model is trained at several widths, and each measured slope is
set beside the derived exponent.
"""
