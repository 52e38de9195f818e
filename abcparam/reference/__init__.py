"""What words of the language and of reports mean: one source for `explain` and for the tables."""
