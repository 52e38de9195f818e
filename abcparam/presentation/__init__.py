"""What texts, figures and pages share."""
