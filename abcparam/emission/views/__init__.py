"""What templates are fed with: finished lines of Python, one module per template."""
