"""Measurements of abcparam beside other code, taken in turns in one run: `python -m benchmarks`."""
