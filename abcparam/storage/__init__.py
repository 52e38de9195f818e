"""Files: written whole, locked, kept, found."""
