"""The playground's half in Python: what a page in a browser asks of a text, answered as JSON."""
