"""Errors, warnings and notes: values with a code, a place and a way out."""
