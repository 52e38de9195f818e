"""Exact arithmetic of exponents: sizes, formulas of lengths, records."""
