"""A report as a page that stands alone, and as what a notebook shows."""
