"""Results of a coordinate check as text, figures and a page."""
