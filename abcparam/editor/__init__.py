"""What editors show of a spec as it is typed: pure functions of its text, which never fail."""
