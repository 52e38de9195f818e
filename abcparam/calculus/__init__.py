"""The scaling calculus: laws of sizes, changes and gradients on the forward graph.

See docs/theory.md.
"""
