"""Exponents that make a spec what it should be."""
